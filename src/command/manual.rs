//! `leaksnap completions` and `leaksnap man`: what the command line says of itself, for shells and
//! for `man`.

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::{say, show};

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Manual {
    /// The command that the page is of; of leaksnap itself where there is none
    command: Option<String>,
}

/// Prints the completions of `command` for a shell; the exit status.
pub(super) fn complete(arguments: &Completions, mut command: Command) -> u8 {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    show(&String::from_utf8_lossy(&script));
    0
}

/// Prints a manual page of `command`; the exit status.
pub(super) fn man(arguments: &Manual, mut command: Command) -> u8 {
    command.build();
    let page = match &arguments.command {
        None => command,
        Some(name) => {
            let Some(found) = command.find_subcommand(name) else {
                let known = command.get_subcommands().map(Command::get_name);
                let known: Vec<_> = known.filter(|known| *known != "help").collect();
                say(&format!("leaksnap: no command `{name}`; they are {}\n", known.join(", ")));
                return 2;
            };
            found.clone()
        }
    };
    let mut text = Vec::new();
    match Man::new(page).render(&mut text) {
        Ok(()) => {
            show(&String::from_utf8_lossy(&text));
            0
        }
        Err(error) => {
            say(&format!("leaksnap: the manual page: {error}\n"));
            2
        }
    }
}
