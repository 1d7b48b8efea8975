//! A whole fault in words, as every door carries it.

use serde::Serialize;

use super::option::{FaultOption, OPTIONS};
use super::pattern::Pattern;
use super::value::{Args, Value, ValueError};
use crate::fault::error::SpecError;
use crate::fault::kinds::{self, Effect};
use crate::fault::name::Name;
use crate::fault::spec::Fault;
use crate::fault::suggest::closest;
use crate::ops::{Method, MethodSet};

/// A fault in words: not yet validated.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaultWords {
    /// Method names; `all` stands for every method. None: all that its kind makes sense on, if that
    /// is a condition, a latch or a kind for syncs.
    pub methods: Vec<String>,
    /// Regular expression for the whole backing path; empty: any.
    pub pattern: String,
    /// Options of every fault, by name.
    pub options: Args,
    /// What it does.
    pub effects: Vec<EffectWords>,
    /// What it is called.
    pub name: Option<String>,
}

/// One thing that a fault does, in words: not yet validated.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EffectWords {
    /// The kind.
    pub kind: String,
    /// Its parameters, by name.
    pub params: Args,
}

impl EffectWords {
    /// One in words.
    #[must_use]
    pub(crate) fn of(effect: &dyn Effect) -> EffectWords {
        EffectWords { kind: effect.kind().name().to_owned(), params: effect.args() }
    }

    /// The same with what stands in the file that it names, if it names one.
    ///
    /// # Errors
    /// A file that cannot be read, or is none for its kind.
    pub(crate) fn with_file(
        self,
        read: &dyn Fn(&str) -> Result<String, ValueError>,
    ) -> Result<EffectWords, SpecError> {
        let params = kinds::find(&self.kind)?.with_file(self.params, read)?;
        Ok(EffectWords { params, ..self })
    }
}

impl FaultWords {
    /// The same with an option, as it would be typed.
    #[must_use]
    pub fn with(mut self, option: &str, value: &str) -> FaultWords {
        self.options.insert(option, Value::Text(value.to_owned()));
        self
    }

    /// The same with this kind of that first parameter, if it takes one, beside what it does.
    #[must_use]
    pub fn and(mut self, kind: &str, first: &str) -> FaultWords {
        let params = kinds::find(kind).map_or(&[][..], |kind| kind.params());
        let param = params.iter().find(|param| param.first);
        let params = param.map(|param| (param.name.to_owned(), Value::Text(first.to_owned())));
        self.effects
            .push(EffectWords { kind: kind.to_owned(), params: params.into_iter().collect() });
        self
    }

    /// The same with what stands in the files that they name.
    ///
    /// # Errors
    /// A file that cannot be read, or is none for its kind.
    pub(crate) fn with_files(
        mut self,
        read: &dyn Fn(&str) -> Result<String, ValueError>,
    ) -> Result<FaultWords, SpecError> {
        let read = |effect: EffectWords| effect.with_file(read);
        self.effects = self.effects.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// The fault that they ask for.
    ///
    /// # Errors
    /// One line that says what is wrong with them and what would be right.
    pub(crate) fn fault(&self) -> Result<Fault, SpecError> {
        let made = |effect: &EffectWords| kinds::make(&effect.kind, &effect.params);
        let effects = self.effects.iter().map(made).collect::<Result<Vec<_>, _>>()?;
        if effects.is_empty() {
            return Err(SpecError::Together("the fault does nothing: give it a kind".to_owned()));
        }
        let pattern = Pattern::new(&self.pattern)?;
        let mut fault = Fault::on(self.methods(&effects)?)?.with_pattern(pattern);
        for (name, value) in &self.options {
            let option = FaultOption::named(name)?;
            if let Some(kind) =
                effects.iter().map(|effect| effect.kind()).find(|k| option.is_of(*k))
            {
                let why = "it is one of the kind's own values";
                return Err(SpecError::Option { kind: kind.name(), option: option.word, why });
            }
            option.set(&mut fault, value)?;
        }
        fault.name = self.name.as_deref().map(Name::new).transpose()?;
        fault.effects = effects;
        fault.checked()
    }

    /// A fault in words, as it is set.
    #[must_use]
    pub(crate) fn whole(fault: &Fault) -> FaultWords {
        FaultWords::of(fault, fault.scope().methods)
    }

    /// A fault in words, with those of its methods that are left.
    #[must_use]
    pub(crate) fn of(fault: &Fault, methods: MethodSet) -> FaultWords {
        let methods = if methods == MethodSet::ALL { vec!["all"] } else { methods.names() };
        let options = OPTIONS.iter().filter_map(|option| {
            let value = option.value(fault)?;
            Some((option.param.name.to_owned(), value))
        });
        FaultWords {
            name: fault.name().map(Name::to_string),
            methods: methods.into_iter().map(str::to_owned).collect(),
            pattern: fault.scope().pattern.as_str().to_owned(),
            options: options.collect(),
            effects: fault.effects().iter().map(|e| EffectWords::of(e.as_ref())).collect(),
        }
    }

    fn methods(&self, effects: &[Box<dyn Effect>]) -> Result<MethodSet, SpecError> {
        match self.methods.as_slice() {
            [] => Ok(own_reach(effects)),
            named => methods(named),
        }
    }

    /// Whether it is on just those methods that it would be on if none were named.
    pub(super) fn is_where_it_belongs(&self) -> bool {
        let has_own = |effect: &EffectWords| {
            kinds::find(&effect.kind).is_ok_and(|kind| kind.class().has_own_reach())
        };
        if !self.effects.iter().any(has_own) {
            return false;
        }
        let made = |effect: &EffectWords| kinds::make(&effect.kind, &effect.params);
        let effects = self.effects.iter().map(made).collect::<Result<Vec<_>, _>>();
        effects.is_ok_and(|effects| methods(&self.methods) == Ok(own_reach(&effects)))
    }
}

/// The methods that such a fault is on if none are named.
fn own_reach(effects: &[Box<dyn Effect>]) -> MethodSet {
    let own = effects.iter().filter(|effect| effect.kind().class().has_own_reach());
    own.fold(MethodSet::EMPTY, |set, effect| set.union(effect.reach()))
}

/// The methods of those names, in any case; `all` is every one.
///
/// # Errors
/// A name that there is not; the nearest is named.
pub(crate) fn methods(names: &[String]) -> Result<MethodSet, SpecError> {
    let mut set = MethodSet::EMPTY;
    for name in names {
        set = match Method::from_word(name) {
            Some(method) => set.union(method.into()),
            None if name.eq_ignore_ascii_case("all") => MethodSet::ALL,
            None => {
                let instead = instead_of_method(name);
                let name = name.chars().take(40).collect::<String>().escape_debug().to_string();
                return Err(SpecError::UnknownMethod { name, instead });
            }
        };
    }
    Ok(set)
}

/// What to write for a word that is no method, in one clause.
#[must_use]
pub(crate) fn instead_of_method(word: &str) -> Option<String> {
    let names = || Method::all().map(Method::name).chain(["all"]);
    let near = || closest(word, names()).map(|near| format!("did you mean {near}?"));
    Method::comes_as(word).map(|methods| format!("write {methods}")).or_else(near)
}

#[cfg(test)]
mod tests {
    use super::super::line::parse;
    use super::*;

    #[test]
    fn methods_are_not_told_where_none_need_to_be_typed() {
        for line in [
            "shutdown --at write --after 3",
            "shutdown --at write -m fsync,write --after 3",
            "fsync-fail lost --and 'delay 1ms' -r '.*/wal'",
            "fsync-fail lost -m fsync",
            "delay 1ms -m all",
        ] {
            let whole = FaultWords::whole(&parse(line).unwrap().0.fault().unwrap());
            assert_eq!(whole.line(), line);
            assert!(!whole.methods.is_empty(), "programs are told of them");
        }
    }
}
