//! A difference as a patch is written, traceback by traceback:
//!
//! ```text
//! @@ grown @@
//! -leak: 1 block, 96 bytes per iteration
//! +leak: 2 blocks, 192 bytes per iteration
//!      CRYPTO_zalloc  libcrypto.so.3
//! ```
//! What fails comes first. What is the same but for frames that a compiler left out is no part of it.

use std::fmt;

use super::alignment::{Row, rows};
use super::comparison::{Change, Difference};
use super::{INDENT, SnapshotGroup};

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        whole(f, "new", '+', &self.new)?;
        changed(f, "grown", &self.grown)?;
        changed(f, "moved", &self.moved)?;
        changed(f, "shrunk", &self.shrunk)?;
        whole(f, "vanished", '-', &self.vanished)
    }
}

fn whole(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    sign: char,
    groups: &[SnapshotGroup],
) -> fmt::Result {
    for group in groups {
        writeln!(f, "@@ {what} @@\n{sign}{}", group.heading())?;
        group.frames.iter().try_for_each(|frame| writeln!(f, "{sign}{INDENT}{frame}"))?;
    }
    Ok(())
}

fn changed(f: &mut fmt::Formatter<'_>, what: &str, changes: &[Change]) -> fmt::Result {
    for Change { accepted, found } in changes {
        writeln!(f, "@@ {what} @@")?;
        let (before, after) = (accepted.heading(), found.heading());
        if before == after {
            writeln!(f, " {before}")?;
        } else {
            writeln!(f, "-{before}\n+{after}")?;
        }
        let mut line = |sign: char, frame: &str| writeln!(f, "{sign}{INDENT}{frame}");
        for row in rows(&accepted.frames, &found.frames) {
            match row {
                Row::Same(_, frame) => line(' ', frame)?,
                Row::Other(old, new) => {
                    line('-', old)?;
                    line('+', new)?;
                }
                Row::Accepted(old) => line('-', old)?,
                Row::Found(new) => line('+', new)?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::snapshot::{compare, parse};

    #[test]
    fn each_kind_of_difference_is_a_hunk() {
        let read = |text| parse(text).expect("a snapshot's body");
        let accepted = read(
            "leak: 1 block, 8 bytes per iteration\n    malloc_it  a.so\n    open  a.so\n    run  a.so\n\n\
             leak: 1 block, 8 bytes per iteration\n    grow  a.so\n\n\
             leak: 2 blocks, 16 bytes per iteration\n    shrink  a.so\n\n\
             leak: 1 block, 1 byte per iteration\n    gone  a.so\n",
        );
        let found = read(
            "leak: 1 block, 8 bytes per iteration\n    malloc_it  a.so\n    reopen  a.so\n    run  a.so\n\n\
             leak: 2 blocks, 16 bytes per iteration\n    grow  a.so\n\n\
             leak: 1 block, 8 bytes per iteration\n    shrink  a.so\n\n\
             growth: 0 blocks, 27.43 bytes per iteration\n    new  b.so\n    run  a.so\n",
        );
        let expected = "\
@@ new @@
+growth: 0 blocks, 27.43 bytes per iteration
+    new  b.so
+    run  a.so
@@ grown @@
-leak: 1 block, 8 bytes per iteration
+leak: 2 blocks, 16 bytes per iteration
     grow  a.so
@@ moved @@
 leak: 1 block, 8 bytes per iteration
     malloc_it  a.so
-    open  a.so
+    reopen  a.so
     run  a.so
@@ shrunk @@
-leak: 2 blocks, 16 bytes per iteration
+leak: 1 block, 8 bytes per iteration
     shrink  a.so
@@ vanished @@
-leak: 1 block, 1 byte per iteration
-    gone  a.so
";
        assert_eq!(compare(&accepted, &found).to_string(), expected);
        assert_eq!(compare(&found, &found).to_string(), "");
    }
}
