//! What stands inside the attributes: `#[module(…)]`, `#[command(…)]`, `#[event(…)]`, `#[example(…)]`, and those of
//! parameters.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, Ident, LitStr, Meta, Result, Token};

/// `#[module(name = …, version = …, keys, batch_answers)]`.
#[derive(Default)]
pub(crate) struct ModuleOptions {
    pub(crate) name: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) has_keys: bool,
    pub(crate) batches_answers: bool,
}

impl Parse for ModuleOptions {
    fn parse(input: ParseStream<'_>) -> Result<ModuleOptions> {
        let mut options = ModuleOptions::default();
        let mut seen = Vec::new();
        while !input.is_empty() {
            let option = once(input.call(Ident::parse_any)?, &mut seen)?;
            match option.to_string().as_str() {
                "name" => options.name = Some(value(input)?),
                "version" => options.version = Some(value(input)?),
                "keys" => options.has_keys = true,
                "batch_answers" => options.batches_answers = true,
                _ => return Err(unknown(&option, "`name = …`, `version = …`, `keys` or `batch_answers`")),
            }
            comma(input)?;
        }
        Ok(options)
    }
}

/// `#[command(name = …, idempotent, read_only)]`.
#[derive(Default)]
pub(crate) struct CommandOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) is_idempotent: bool,
    pub(crate) is_read_only: bool,
}

impl CommandOptions {
    pub(crate) fn read(attribute: &Attribute) -> Result<CommandOptions> {
        match &attribute.meta {
            Meta::Path(_) => Ok(CommandOptions::default()),
            _ => attribute.parse_args(),
        }
    }
}

impl Parse for CommandOptions {
    fn parse(input: ParseStream<'_>) -> Result<CommandOptions> {
        let mut options = CommandOptions::default();
        let mut seen = Vec::new();
        while !input.is_empty() {
            let option = once(input.call(Ident::parse_any)?, &mut seen)?;
            match option.to_string().as_str() {
                "name" => options.name = Some(value(input)?),
                "idempotent" => options.is_idempotent = true,
                "read_only" => options.is_read_only = true,
                _ => return Err(unknown(&option, "`idempotent`, `read_only` or `name = \"…\"`")),
            }
            comma(input)?;
        }
        Ok(options)
    }
}

/// `#[example(args = {…}, returns = {…}, description = "…")]`, whose values are JSON.
#[derive(Default)]
pub(crate) struct ExampleOptions {
    pub(crate) args: Option<TokenStream>,
    pub(crate) returns: Option<TokenStream>,
    pub(crate) description: Option<LitStr>,
}

impl Parse for ExampleOptions {
    fn parse(input: ParseStream<'_>) -> Result<ExampleOptions> {
        let mut options = ExampleOptions::default();
        let mut seen = Vec::new();
        while !input.is_empty() {
            let option = once(input.call(Ident::parse_any)?, &mut seen)?;
            match option.to_string().as_str() {
                "args" => options.args = Some(json(input)?),
                "returns" => options.returns = Some(json(input)?),
                "description" => options.description = Some(value(input)?),
                _ => return Err(unknown(&option, "`args = {…}`, `returns = …` or `description = \"…\"`")),
            }
            comma(input)?;
        }
        Ok(options)
    }
}

/// What the attributes of a parameter say, which are taken away from it.
#[derive(Default)]
pub(crate) struct ParameterOptions {
    /// `#[name("…")]`.
    pub(crate) name: Option<LitStr>,
    /// `#[default]` or `#[default(…)]`.
    pub(crate) default: Option<Default>,
    /// Where `#[arguments]` stands.
    pub(crate) arguments: Option<Span>,
    /// The doc comment.
    pub(crate) about: String,
}

/// What a method gets for an argument that is left out.
pub(crate) enum Default {
    OfType(Span),
    Value(Expr),
}

impl Default {
    pub(crate) fn span(&self) -> Span {
        match self {
            Default::OfType(span) => *span,
            Default::Value(value) => value.span(),
        }
    }
}

impl ParameterOptions {
    /// Reads and removes what is meant for the macro.
    pub(crate) fn take(attributes: &mut Vec<Attribute>) -> Result<ParameterOptions> {
        let mut options = ParameterOptions {
            about: crate::documentation::first_paragraph(attributes),
            ..ParameterOptions::default()
        };
        let mut fault = Ok(());
        attributes.retain(|attribute| match options.read(attribute) {
            Ok(is_of_the_macro) => !is_of_the_macro,
            Err(error) => {
                fault = Err(error);
                false
            }
        });
        fault.map(|()| options)
    }

    fn read(&mut self, attribute: &Attribute) -> Result<bool> {
        let path = attribute.path();
        if path.is_ident("name") {
            self.name = Some(attribute.parse_args()?);
        } else if path.is_ident("default") {
            self.default = Some(match &attribute.meta {
                Meta::Path(path) => Default::OfType(path.span()),
                _ => Default::Value(attribute.parse_args()?),
            });
        } else if path.is_ident("arguments") {
            attribute.meta.require_path_only()?;
            self.arguments = Some(path.span());
        } else if !path.is_ident("doc") {
            return Ok(false);
        }
        Ok(true)
    }
}

/// The pattern in `#[event("…")]`.
pub(crate) fn pattern(attribute: &Attribute) -> Result<LitStr> {
    let expected = "expected a pattern of events, as in `#[event(\"stock.*\")]`";
    let Meta::List(list) = &attribute.meta else { return Err(Error::new(attribute.span(), expected)) };
    let pattern: LitStr = syn::parse2(list.tokens.clone()).map_err(|fault| Error::new(fault.span(), expected))?;
    let text = pattern.value();
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    let stars = text.strip_suffix('*').unwrap_or(&text);
    if text.is_empty() || text.len() > EVENT_NAME_BYTES_MAX || stars.contains('*') || text.contains(is_odd) {
        let rule = format!(
            "expected a name of events of 1 to {EVENT_NAME_BYTES_MAX} bytes without white space, or the beginning of one and `*`, found {text:?}"
        );
        return Err(Error::new(pattern.span(), rule));
    }
    Ok(pattern)
}

/// As on the wire.
const EVENT_NAME_BYTES_MAX: usize = 256;

fn once(option: Ident, seen: &mut Vec<Ident>) -> Result<Ident> {
    if seen.contains(&option) {
        return Err(Error::new(option.span(), format!("`{option}` stands here twice")));
    }
    seen.push(option.clone());
    Ok(option)
}

fn unknown(option: &Ident, expected: &str) -> Error {
    Error::new(option.span(), format!("expected {expected}, found `{option}`"))
}

fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn comma(input: ParseStream<'_>) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

/// The tokens of a value up to the next comma, as `json!` takes them.
fn json(input: ParseStream<'_>) -> Result<TokenStream> {
    let equals: Token![=] = input.parse()?;
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    if tokens.is_empty() {
        return Err(Error::new(equals.span(), "expected a value as JSON has it after `=`"));
    }
    Ok(tokens)
}
