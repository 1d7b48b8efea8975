//! A whole fault in words, as every door carries it.

use super::option::{FaultOption, OPTIONS};
use super::pattern::Pattern;
use super::value::Args;
use crate::fault::error::SpecError;
use crate::fault::kinds::{self, Effect};
use crate::fault::name::Name;
use crate::fault::spec::Fault;
use crate::fault::suggest::closest;
use crate::ops::{Method, MethodSet};

/// A fault in words: not yet validated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultWords {
    /// What it is called.
    pub name: Option<String>,
    /// Method names; `all` stands for every method. None: all that its kind makes sense on, if that
    /// is a condition, a latch or a kind for syncs.
    pub methods: Vec<String>,
    /// Regular expression for the whole backing path; empty: any.
    pub pattern: String,
    /// Options of every fault, by name.
    pub options: Args,
    /// What it does: kinds, each with its parameters.
    pub effects: Vec<(String, Args)>,
}

impl FaultWords {
    /// The fault that they ask for.
    ///
    /// # Errors
    /// One line that says what is wrong with them and what would be right.
    pub fn fault(&self) -> Result<Fault, SpecError> {
        let made = |(kind, args): &(String, Args)| kinds::make(kind, args);
        let effects = self.effects.iter().map(made).collect::<Result<Vec<_>, _>>()?;
        if effects.is_empty() {
            return Err(SpecError::Together("the fault does nothing: give it a kind".to_owned()));
        }
        let pattern = Pattern::new(&self.pattern)?;
        let mut fault = Fault::on(self.methods(&effects)?)?.with_pattern(pattern);
        for (name, value) in &self.options {
            FaultOption::find(name)?.set(&mut fault, value)?;
        }
        fault.name = self.name.as_deref().map(Name::new).transpose()?;
        fault.effects = effects;
        fault.checked()
    }

    /// A fault in words, with those of its methods that are left.
    #[must_use]
    pub fn of(fault: &Fault, methods: MethodSet) -> FaultWords {
        let methods = if methods == MethodSet::ALL { vec!["all"] } else { methods.names() };
        let options = OPTIONS.iter().filter_map(|option| {
            let value = option.value(fault)?;
            Some((option.param.name.to_owned(), value))
        });
        let effect = |effect: &dyn Effect| (effect.kind().name().to_owned(), effect.args());
        FaultWords {
            name: fault.name().map(Name::to_string),
            methods: methods.into_iter().map(str::to_owned).collect(),
            pattern: fault.scope().pattern.as_str().to_owned(),
            options: options.collect(),
            effects: fault.effects().iter().map(|e| effect(e.as_ref())).collect(),
        }
    }

    fn methods(&self, effects: &[Box<dyn Effect>]) -> Result<MethodSet, SpecError> {
        if self.methods.is_empty() {
            let own = effects.iter().map(|effect| effect.kind()).filter(|kind| {
                matches!(kind.class(), kinds::Class::Sync) || !kind.class().is_fault()
            });
            return Ok(own.fold(MethodSet::EMPTY, |set, kind| set.union(kind.reach())));
        }
        methods(&self.methods)
    }
}

/// The methods of those names; `all` is every one.
fn methods(names: &[String]) -> Result<MethodSet, SpecError> {
    let mut set = MethodSet::EMPTY;
    for name in names {
        set = match Method::from_name(name) {
            Some(method) => set.union(method.into()),
            None if name == "all" => MethodSet::ALL,
            None => {
                let name = name.chars().take(40).collect::<String>().escape_debug().to_string();
                let near = closest(&name, Method::all().map(Method::name)).map(str::to_owned);
                return Err(SpecError::UnknownMethod { name, near });
            }
        };
    }
    Ok(set)
}
