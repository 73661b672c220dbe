//! The attribute `#[leaksnap::scenario]`, a crate of its own because the compiler wants it so; use
//! it from `leaksnap`.
//!
//! It leaves the function as it is and hands its name to `leaksnap::register!`. A name is all that
//! it reads of the function, for which tokens are enough: no parser is to be compiled for it.

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

/// Registers a function as a scenario; see `leaksnap::scenario`.
#[proc_macro_attribute]
pub fn scenario(options: TokenStream, function: TokenStream) -> TokenStream {
    if let Some(option) = options.into_iter().next() {
        return error(option.span(), "`#[leaksnap::scenario]` takes no options");
    }
    match name(function.clone()) {
        Ok(name) => function.into_iter().chain(register(name)).collect(),
        Err((span, reason)) => function.into_iter().chain(error(span, reason)).collect(),
    }
}

/// The name of `function`: what stands behind its `fn`.
fn name(function: TokenStream) -> Result<Ident, (Span, &'static str)> {
    let is = |token: &TokenTree, word: &str| match token {
        TokenTree::Ident(ident) => ident.to_string() == word,
        _ => false,
    };
    let mut tokens = function.into_iter();
    let mut last = Span::call_site();
    while let Some(token) = tokens.next() {
        last = token.span();
        if is(&token, "async") || is(&token, "unsafe") {
            return Err((last, "a scenario is a safe function that is not async"));
        }
        if is(&token, "fn") {
            return match (tokens.next(), tokens.next()) {
                (Some(TokenTree::Ident(_)), Some(TokenTree::Punct(generics))) => {
                    Err((generics.span(), "a scenario has no generic parameters"))
                }
                (Some(TokenTree::Ident(name)), _) => Ok(name),
                _ => Err((last, "a scenario is a function with a name")),
            };
        }
    }
    Err((last, "a scenario is a function: `fn name(run: &leaksnap::Run) { … }`"))
}

/// `::leaksnap::register!(name);`
fn register(name: Ident) -> TokenStream {
    // Its own span: what the compiler finds wrong with the function is shown there.
    let span = name.span();
    let path = ["leaksnap", "register"].into_iter().flat_map(|part| {
        let colons = [Punct::new(':', Spacing::Joint), Punct::new(':', Spacing::Alone)];
        let colons = colons.into_iter().map(TokenTree::from);
        colons.chain([TokenTree::from(Ident::new(part, span))])
    });
    let arguments = Group::new(Delimiter::Parenthesis, TokenTree::from(name).into());
    let call = [
        TokenTree::from(Punct::new('!', Spacing::Alone)),
        TokenTree::from(arguments),
        TokenTree::from(Punct::new(';', Spacing::Alone)),
    ];
    path.chain(call).collect()
}

/// `::core::compile_error!("reason");`
fn error(span: Span, reason: &str) -> TokenStream {
    let text = format!("::core::compile_error!({reason:?});");
    let tokens: TokenStream = text.parse().unwrap_or_default();
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(span);
            token
        })
        .collect()
}
