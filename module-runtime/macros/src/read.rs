//! The `impl` block: its handlers by what they handle, each where there can be one.

use crate::faults::Faults;
use crate::handler::{Handler, Role};
use crate::parameters::Parameter;
use crate::types;
use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::{Error, ImplItem, ItemImpl};

/// What the module handles.
#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) commands: Vec<(String, Handler)>,
    pub(crate) events: Vec<(String, Handler)>,
    pub(crate) query: Option<Handler>,
    pub(crate) mutation: Option<Handler>,
    pub(crate) init: Option<Handler>,
    pub(crate) shutdown: Option<Handler>,
    pub(crate) barrier: Option<Handler>,
}

/// Reads the item that the attribute stands on.
pub(crate) fn block(item: TokenStream) -> syn::Result<ItemImpl> {
    let expected = "expected the `impl` block of a type, as in `impl Greeter { … }`";
    let span = item.clone().into_iter().next().map_or_else(Span::call_site, |first| first.span());
    let is_impl = item.clone().into_iter().any(|token| token.to_string() == "impl");
    let block: ItemImpl =
        syn::parse2(item).map_err(|fault| if is_impl { fault } else { Error::new(span, expected) })?;
    if let Some((of, _)) = &block.trait_ {
        let sentence = format!("{expected}, found that of a trait; the macro writes the `impl Module`");
        return Err(Error::new(of.span(), sentence));
    }
    if !block.generics.params.is_empty() {
        let sentence = "expected a type without parameters, as a module is one type";
        return Err(Error::new(block.generics.span(), sentence));
    }
    Ok(block)
}

impl Handlers {
    /// Reads the methods of a block, and removes the macro's attributes from them.
    pub(crate) fn take(block: &mut ItemImpl, faults: &mut Faults) -> Handlers {
        let mut handlers = Handlers::default();
        for item in &mut block.items {
            if let ImplItem::Fn(method) = item
                && let Some(handler) = Handler::take(method, faults)
            {
                faults.note(check(&handler));
                faults.note(handlers.add(handler));
            }
        }
        handlers
    }

    fn add(&mut self, handler: Handler) -> syn::Result<()> {
        let (place, what) = match &handler.role {
            Role::Command(options) => {
                let ident = handler.ident.to_string();
                let ident = ident.strip_prefix("r#").unwrap_or(&ident).to_owned();
                let (name, span) = match &options.name {
                    Some(name) => (name.value(), name.span()),
                    None => (ident, handler.ident.span()),
                };
                return add_named(&mut self.commands, name, span, "commands have the name", handler);
            }
            Role::Event(pattern) => {
                let (name, span) = (pattern.value(), pattern.span());
                return add_named(&mut self.events, name, span, "handlers are for the events", handler);
            }
            Role::Query => (&mut self.query, "query"),
            Role::Mutation => (&mut self.mutation, "mutation"),
            Role::Init => (&mut self.init, "init"),
            Role::Shutdown => (&mut self.shutdown, "shutdown"),
            Role::Barrier => (&mut self.barrier, "barrier"),
        };
        if place.is_some() {
            return Err(Error::new(
                handler.ident.span(),
                format!("expected `#[{what}]` on one method, found a second"),
            ));
        }
        *place = Some(handler);
        Ok(())
    }
}

fn add_named(
    all: &mut Vec<(String, Handler)>,
    name: String,
    span: Span,
    what: &str,
    handler: Handler,
) -> syn::Result<()> {
    if all.iter().any(|(known, _)| *known == name) {
        return Err(Error::new(span, format!("two {what} `{name}`")));
    }
    all.push((name, handler));
    Ok(())
}

/// Whether a method takes what its role gives.
fn check(handler: &Handler) -> syn::Result<()> {
    let parameters = &handler.parameters;
    let others = &parameters.others;
    let fault = |expected: &str| {
        let (span, count) = (handler.ident.span(), others.len());
        Err(Error::new(span, format!("{expected}, found {count} more")))
    };
    if !matches!(handler.role, Role::Command(_)) {
        others.iter().try_for_each(Parameter::refuse_options)?;
    }
    match &handler.role {
        Role::Command(_) => check_arguments(others),
        Role::Query | Role::Mutation if others.len() != 1 => {
            fault("expected the context, and one parameter for the payload")
        }
        Role::Event(_) => match &others[..] {
            [] | [_] => Ok(()),
            [name, _] if types::is_str(&name.of) => Ok(()),
            [name, _] => {
                let sentence = "expected `&str` for the name of the event, before the parameter for its data";
                Err(Error::new(name.of.span(), sentence))
            }
            _ => fault("expected the context, `&str` for the name of the event, and one parameter for its data"),
        },
        Role::Init => {
            if parameters.has_self || parameters.has_context {
                let sentence = "expected `&Init` and a parameter for the configuration, as there is no module yet";
                return Err(Error::new(handler.ident.span(), sentence));
            }
            match others.iter().filter(|parameter| !types::is_init(&parameter.of)).count() {
                0 | 1 if others.len() <= 2 => Ok(()),
                _ => fault("expected `&Init` and one parameter for the configuration"),
            }
        }
        Role::Shutdown if !others.is_empty() => fault("expected the context alone"),
        Role::Barrier if !others.is_empty() || parameters.has_context || !parameters.has_self => {
            Err(Error::new(handler.ident.span(), "expected `&self` alone"))
        }
        Role::Query | Role::Mutation | Role::Shutdown | Role::Barrier => Ok(()),
    }
}

fn check_arguments(parameters: &[Parameter]) -> syn::Result<()> {
    if let Some(whole) = parameters.iter().find(|parameter| parameter.options.arguments.is_some()) {
        if parameters.len() > 1 {
            let sentence = "expected no other parameters beside the one that takes all arguments";
            return Err(Error::new(whole.span(), sentence));
        }
        let mut other = crate::attributes::ParameterOptions::default();
        other.name.clone_from(&whole.options.name);
        let default = whole.options.default.as_ref().map(crate::attributes::Default::span);
        if let Some(span) = default.or(other.name.map(|name| name.span())) {
            return Err(Error::new(
                span,
                "expected `#[arguments]` alone, as the struct names its fields and their defaults",
            ));
        }
        return Ok(());
    }
    let mut names: Vec<String> = Vec::new();
    for parameter in parameters {
        let (name, span) = parameter.name()?;
        if names.contains(&name) {
            return Err(Error::new(span, format!("two arguments have the name `{name}`")));
        }
        names.push(name);
        parameter.absence()?;
    }
    Ok(())
}
