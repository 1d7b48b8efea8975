//! What a fault is: whom it concerns, how often, when, and what it does.
//!
//! Invariant: a [`Fault`] that exists makes sense. Whatever comes from users is checked on the way
//! in, and each refusal is one line.

use super::chance::Chance;
use super::error::SpecError;
use super::kinds::{Class, Effect, Kind};
use super::name::Name;
use super::scope::{Filters, Scope, with_bytes, with_flags};
use super::takes;
use super::term::Term;
use super::words::Pattern;
use crate::ops::MethodSet;

/// A fault: to these requests, so often, so long, this.
#[derive(Debug)]
pub struct Fault {
    pub(super) name: Option<Name>,
    pub(super) scope: Scope,
    pub(super) chance: Chance,
    pub(super) term: Term,
    pub(super) effects: Vec<Box<dyn Effect>>,
    /// It is the device that charybdefs's auto_delay asks for: what replaces and clears faults by their
    /// methods does so with it.
    pub(super) automatic: bool,
}

impl Fault {
    /// A fault on these methods, every path, always, that does nothing. Only the plain calls of the
    /// contract leave it so.
    ///
    /// # Errors
    /// If there is no method.
    pub fn on(methods: MethodSet) -> Result<Fault, SpecError> {
        if methods.is_empty() {
            return Err(SpecError::NoMethod);
        }
        let scope = Scope { methods, pattern: Pattern::any(), filters: Filters::default() };
        Ok(Fault {
            name: None,
            scope,
            chance: Chance::default(),
            term: Term::default(),
            effects: Vec::new(),
            automatic: false,
        })
    }

    /// Only where the path matches.
    #[must_use]
    pub fn with_pattern(mut self, pattern: Pattern) -> Fault {
        self.scope.pattern = pattern;
        self
    }

    /// Only on these of its matches.
    ///
    /// # Errors
    /// Its effects do not take it.
    pub fn with_chance(self, chance: Chance) -> Result<Fault, SpecError> {
        Fault { chance, ..self }.checked()
    }

    /// In force only then.
    ///
    /// # Errors
    /// That is no time at all.
    pub fn with_term(self, term: Term) -> Result<Fault, SpecError> {
        Fault { term, ..self }.checked()
    }

    /// Doing this, too.
    ///
    /// # Errors
    /// It makes no sense beside the others, or on these methods.
    #[cfg(test)]
    pub(super) fn doing(mut self, effect: Box<dyn Effect>) -> Result<Fault, SpecError> {
        self.effects.push(effect);
        self.checked()
    }

    /// What it is called.
    #[must_use]
    pub(crate) fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The paths.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.scope.pattern
    }

    /// Whom it concerns.
    #[must_use]
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How often it fires.
    #[must_use]
    pub fn chance(&self) -> Chance {
        self.chance
    }

    /// When it is in force.
    #[must_use]
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Whether it is the device that charybdefs's auto_delay asks for.
    #[must_use]
    pub(crate) fn is_automatic(&self) -> bool {
        self.automatic
    }

    /// What it does.
    #[must_use]
    pub(crate) fn effects(&self) -> &[Box<dyn Effect>] {
        &self.effects
    }

    /// The kind of its effects that decides which bytes are moved, if one does.
    #[must_use]
    pub(super) fn spoils(&self) -> Option<&'static dyn Kind> {
        self.effects.iter().map(|effect| effect.kind()).find(|kind| kind.class() == Class::Data)
    }

    /// The same to be told of: it matches nothing any more, and keeps no state.
    pub(super) fn told(&self) -> Fault {
        // What was made of them once is made of them again.
        let anew = |effect: &dyn Effect| effect.kind().make(&effect.args()).ok();
        let Scope { methods, pattern, filters } = &self.scope;
        Fault {
            name: self.name.clone(),
            scope: Scope { methods: *methods, pattern: pattern.told(), filters: filters.clone() },
            chance: self.chance,
            term: self.term,
            effects: self.effects.iter().filter_map(|e| anew(e.as_ref())).collect(),
            automatic: self.automatic,
        }
    }

    /// Its class, if it is a condition or a latch.
    pub(super) fn standing(&self) -> Option<Class> {
        self.effects.iter().map(|effect| effect.kind().class()).find(|class| !class.is_fault())
    }

    /// Whether, if it is a latch, it does not set in at the first operation of all.
    pub(super) fn waits(&self) -> bool {
        let at = self.effects.iter().find_map(|effect| effect.sets_in_at());
        self.chance.after > 0 || at.is_some()
    }

    pub(super) fn checked(self) -> Result<Fault, SpecError> {
        self.term.check()?;
        self.check_company()?;
        self.check_reach()?;
        self.check_options()?;
        Ok(self)
    }

    /// Several effects of a fault, none of a kind twice, at most one on data or syncs; or one
    /// condition; or one latch.
    fn check_company(&self) -> Result<(), SpecError> {
        let kinds = || self.effects.iter().map(|effect| effect.kind());
        let refuse = |why: String| Err(SpecError::Together(why));
        for (place, kind) in kinds().enumerate() {
            if kinds().take(place).any(|earlier| earlier.name() == kind.name()) {
                return refuse(format!("a fault holds {} once", kind.name()));
            }
            if !kind.class().is_fault() && self.effects.len() > 1 {
                let what = kind.class().name();
                return refuse(format!("{} is a {what}, which stands alone", kind.name()));
            }
        }
        let late = self.effects.iter().find(|effect| effect.fails_late()).map(|late| late.kind());
        if let Some(late) = late
            && let Some(other) = self.spoils()
        {
            return refuse(format!(
                "{} --when after and {} exclude each other: of what is done in part nothing can be \
                 reported as done",
                late.name(),
                other.name()
            ));
        }
        let of_data = |kind: &&dyn Kind| matches!(kind.class(), Class::Data | Class::Sync);
        let mut deciding = kinds().filter(of_data);
        match (deciding.next(), deciding.next()) {
            (Some(one), Some(other)) => refuse(format!(
                "{} and {} exclude each other: one of them decides what is written",
                one.name(),
                other.name()
            )),
            (Some(one), None) if one.class() == Class::Sync => {
                match kinds().find(|kind| kind.answers()) {
                    Some(other) => refuse(format!(
                        "{} and {} exclude each other: each decides what a sync is answered",
                        one.name(),
                        other.name()
                    )),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn check_reach(&self) -> Result<(), SpecError> {
        for effect in &self.effects {
            let kind = effect.kind();
            let beyond = self.scope.methods.minus(effect.reach());
            if !beyond.is_empty() {
                let (kind, reach) = (kind.name(), effect.reach());
                return Err(SpecError::Reach { kind, methods: beyond, reach });
            }
        }
        let at = self.effects.iter().find_map(|effect| Some((effect.kind(), effect.sets_in_at()?)));
        if let Some((kind, at)) = at
            && !at.minus(self.scope.methods).is_empty()
        {
            return Err(SpecError::Together(format!(
                "{} can set in at methods that it is set on, and {} is not among those",
                kind.name(),
                at.minus(self.scope.methods)
            )));
        }
        let by_bytes = self.effects.iter().find(|effect| effect.looks_at_bytes());
        if let Some(effect) = by_bytes.filter(|_| !self.scope.methods.intersects(with_bytes())) {
            return Err(SpecError::Together(format!(
                "{} by bytes needs methods that have some, and {} has none; these have: {}",
                effect.kind().name(),
                self.scope.methods,
                with_bytes()
            )));
        }
        let filters = &self.scope.filters;
        let without = self.scope.methods.minus(with_bytes());
        if filters.look_at_bytes() && !without.is_empty() {
            return Err(SpecError::Together(format!(
                "range and size look at bytes, which {without} has none of; they can be set on {}",
                with_bytes()
            )));
        }
        let without = self.scope.methods.minus(with_flags());
        if filters.look_at_flags() && !without.is_empty() {
            return Err(SpecError::Together(format!(
                "flags are those of an open file, which {without} does not come with; they can be \
                 set on {}",
                with_flags()
            )));
        }
        Ok(())
    }

    /// What none of its kinds takes, and what does not go together.
    fn check_options(&self) -> Result<(), SpecError> {
        let kinds = || self.effects.iter().map(|effect| effect.kind());
        for option in self.given() {
            let refuses = |kind: &'static dyn Kind| Some((kind, takes::refuses(kind, option)?));
            let mut refused = kinds().map(refuses);
            if let Some(Some((kind, why))) = refused.next()
                && refused.all(|refused| refused.is_some())
            {
                return Err(SpecError::Option { kind: kind.name(), option, why });
            }
        }
        let Chance { after, nth, count, stable, .. } = self.chance;
        if stable && (after > 0 || nth.is_some() || count.is_some()) {
            let why = "stable excludes after, nth and count: it draws by place, and which of several \
                       threads comes first is chance";
            return Err(SpecError::Together(why.to_owned()));
        }
        Ok(())
    }

    /// The options that are not at their defaults, by their words; filters are judged by the methods.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        let Chance { probability, after, nth, count, stable } = self.chance;
        let Term { starts, lasts, phases, ramp } = self.term;
        let all = [
            ("ramp", ramp.is_some()),
            ("probability", probability != Chance::default().probability),
            ("count", count.is_some()),
            ("nth", nth.is_some()),
            ("stable", stable),
            ("after", after > 0),
            ("starts", !starts.is_zero()),
            ("for", lasts.is_some()),
            ("on-for", phases.is_some()),
        ];
        all.into_iter().filter(|(_, is_given)| *is_given).map(|(option, _)| option)
    }
}
