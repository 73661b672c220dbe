//! The attribute `#[leaksnap::scenario]`, a crate of its own because the compiler wants it so; use
//! it from `leaksnap`.
//!
//! It leaves the function as it is and hands its name to `leaksnap::register!`, under the same `cfg`,
//! and with it an `ignore`, which is for tests. That is all that it reads of the function, and tokens
//! are enough for it: no parser is to be compiled.

use proc_macro::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};

/// Registers a function as a scenario; see `leaksnap::scenario`.
#[proc_macro_attribute]
pub fn scenario(options: TokenStream, function: TokenStream) -> TokenStream {
    if let Some(option) = options.into_iter().next() {
        return error(option.span(), "`#[leaksnap::scenario]` takes no options");
    }
    let (attributes, function) = split(function);
    let is = |word: &'static str| move |attribute: &&Attribute| attribute.is(word);
    let ignore: TokenStream =
        attributes.iter().filter(is("ignore")).flat_map(Attribute::tokens).collect();
    let cfg: TokenStream =
        attributes.iter().filter(is("cfg")).flat_map(Attribute::tokens).collect();
    let left = attributes.iter().filter(|attribute| !attribute.is("ignore"));
    let left = left.flat_map(Attribute::tokens).chain(function.clone());
    match name(function) {
        Ok(name) => left.chain(cfg).chain(register(name, ignore)).collect(),
        Err((span, reason)) => left.chain(error(span, reason)).collect(),
    }
}

/// An attribute: `#` and what is in its brackets.
struct Attribute(TokenTree, Group);

impl Attribute {
    /// Whether its first word is `word`.
    fn is(&self, word: &str) -> bool {
        self.1.stream().into_iter().next().is_some_and(|first| first.to_string() == word)
    }

    fn tokens(&self) -> [TokenTree; 2] {
        [self.0.clone(), TokenTree::from(self.1.clone())]
    }
}

/// The attributes that `item` starts with, and the rest.
fn split(item: TokenStream) -> (Vec<Attribute>, TokenStream) {
    let mut attributes = Vec::new();
    let mut tokens = item.into_iter().peekable();
    let is_start = |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == '#');
    while let Some(start) = tokens.next_if(is_start) {
        match tokens.next() {
            Some(TokenTree::Group(group)) => attributes.push(Attribute(start, group)),
            // The compiler takes nothing else there.
            other => return (attributes, [start].into_iter().chain(other).chain(tokens).collect()),
        }
    }
    (attributes, tokens.collect())
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

/// `::leaksnap::register!(ignore name);`
fn register(name: Ident, ignore: TokenStream) -> TokenStream {
    // Its own span: what the compiler finds wrong with the function is shown there.
    let span = name.span();
    let path = ["leaksnap", "register"].into_iter().flat_map(|part| {
        let colons = [Punct::new(':', Spacing::Joint), Punct::new(':', Spacing::Alone)];
        let colons = colons.into_iter().map(TokenTree::from);
        colons.chain([TokenTree::from(Ident::new(part, span))])
    });
    let arguments = ignore.into_iter().chain([TokenTree::from(name)]).collect();
    let arguments = Group::new(Delimiter::Parenthesis, arguments);
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
