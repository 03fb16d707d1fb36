//! The declaration on top of a case (`//@ key: value`), as `zdtm-cases --list` prints it.
//!
//! A value is YAML; where a key takes a list, words separated by spaces will do. An unknown key is an error: a
//! misspelt one would otherwise leave the case weaker than it looks.

use crate::cli::{Flavour, Restorer, Session};
use crate::damage::Damage;
use crate::needs::Need;
use crate::route::Route;
use anyhow::{Context as _, bail};
use serde_yaml::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// A case as its head describes it.
#[derive(Debug, Clone)]
pub struct Case {
    /// `area/case`.
    pub name: String,
    /// The documentation's first line.
    pub about: String,
    /// How to run it.
    pub declaration: Declaration,
}

/// How a case is run, and what is expected.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// In what surroundings.
    pub flavours: Vec<Flavour>,
    /// By which routes.
    pub routes: Vec<Route>,
    /// What the machine must have; where it lacks something the case is skipped.
    pub needs: Vec<Need>,
    /// The time limit of one run.
    pub timeout: Duration,
    /// In whose session.
    pub session: Session,
    /// By what kind of engine process it is restored.
    pub restorer: Restorer,
    /// Options of the engine's dump.
    pub dump_options: Vec<String>,
    /// Options of the engine's restore.
    pub restore_options: Vec<String>,
    /// The dump must fail with an error that contains this, and the tree must run on.
    pub dump_fails: Option<String>,
    /// Why `stasis check -t` cannot see what makes the dump fail: only a stopped task shows it.
    pub unseen: Option<String>,
    /// The restore must fail with an error that contains this.
    pub restore_fails: Option<String>,
    /// What is done to the images, one after another and undone again, to make the restore fail.
    pub damage: Vec<Damage>,
    /// Fields of the witness that are not compared.
    pub exempt: Vec<String>,
}

impl Default for Declaration {
    fn default() -> Self {
        Declaration {
            flavours: vec![Flavour::Host],
            routes: Vec::new(),
            needs: Vec::new(),
            timeout: Duration::from_secs(30),
            session: Session::Own,
            restorer: Restorer::Plain,
            dump_options: Vec::new(),
            restore_options: Vec::new(),
            dump_fails: None,
            unseen: None,
            restore_fails: None,
            damage: Vec::new(),
            exempt: Vec::new(),
        }
    }
}

/// Parses what `zdtm-cases --list` prints: a name, the lines of the head, a blank line.
pub fn parse_list(text: &str) -> anyhow::Result<Vec<Case>> {
    text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).map(parse_case).collect()
}

fn parse_case(block: &str) -> anyhow::Result<Case> {
    let (name, head) = block.split_once('\n').unwrap_or((block, ""));
    let about = head.lines().find_map(|l| l.strip_prefix("//!")).unwrap_or("").trim().to_owned();
    let lines = head.lines().filter_map(|l| l.strip_prefix("//@"));
    let declaration = Declaration::parse(lines).with_context(|| format!("the declaration of {name}"))?;
    Ok(Case { name: name.to_owned(), about, declaration })
}

impl Declaration {
    /// Parses the lines after `//@`.
    pub fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> anyhow::Result<Declaration> {
        let mut it = Declaration::default();
        let mut seen = BTreeSet::new();
        for line in lines {
            let (key, value) = line.split_once(':').with_context(|| format!("`{}` is no `key: value`", line.trim()))?;
            let key = key.trim();
            let repeats =
                matches!(key, "needs" | "options" | "dump-options" | "restore-options" | "damage" | "witness");
            if !seen.insert(key) && !repeats {
                bail!("`{key}` is said twice");
            }
            it.set(key, value.trim()).with_context(|| format!("`{}`", line.trim()))?;
        }
        it.settle_routes()?;
        Ok(it)
    }

    fn set(&mut self, key: &str, text: &str) -> anyhow::Result<()> {
        let value: Value = serde_yaml::from_str(text)?;
        match key {
            "flavours" => self.flavours = names(&value)?,
            "routes" => self.routes = names(&value)?,
            "needs" => self.needs.extend(words(&value)?.iter().map(|w| Need::parse(w)).collect::<Result<Vec<_>, _>>()?),
            "timeout" => {
                let seconds = value.as_f64().filter(|s| *s > 0.0 && *s < 1e6).context("a number of seconds")?;
                self.timeout = Duration::from_secs_f64(seconds);
            }
            "session" => self.session = one(&scalar(&value)?)?,
            "restorer" => self.restorer = one(&scalar(&value)?)?,
            "options" => {
                self.dump_options.extend(words(&value)?);
                self.restore_options.extend(words(&value)?);
            }
            "dump-options" => self.dump_options.extend(words(&value)?),
            "restore-options" => self.restore_options.extend(words(&value)?),
            "dump-fails" => self.dump_fails = Some(scalar(&value)?),
            "unseen" => self.unseen = Some(scalar(&value)?),
            "restore-fails" => self.restore_fails = Some(scalar(&value)?),
            "damage" => {
                self.damage.extend(items(&value)?.iter().map(|d| Damage::parse(d)).collect::<Result<Vec<_>, _>>()?)
            }
            "witness" => {
                if !text.contains(" #") {
                    bail!("say why after a #");
                }
                for word in words(&value)? {
                    self.exempt.push(word.strip_prefix('-').context("only `-FIELD` is known")?.to_owned());
                }
            }
            other => bail!("unknown key `{other}`"),
        }
        Ok(())
    }

    /// The routes follow from what is expected where they are not said.
    fn settle_routes(&mut self) -> anyhow::Result<()> {
        let fails = self.dump_fails.is_some() || self.restore_fails.is_some();
        if !self.damage.is_empty() && self.restore_fails.is_none() {
            bail!("`damage` without `restore-fails`");
        }
        if self.unseen.is_some() && self.dump_fails.is_none() {
            bail!("`unseen` without `dump-fails`");
        }
        if self.dump_fails.is_some() && self.restore_fails.is_some() {
            bail!("`dump-fails` and `restore-fails` at once");
        }
        if self.routes.is_empty() {
            self.routes = if fails { vec![Route::Once] } else { Route::DEFAULT.to_vec() };
        }
        if fails && self.routes != [Route::Once] {
            bail!("a dump or restore that must fail has no route but once");
        }
        Ok(())
    }
}

fn names<T: clap::ValueEnum>(value: &Value) -> anyhow::Result<Vec<T>> {
    words(value)?.iter().map(|w| one(w)).collect()
}

fn one<T: clap::ValueEnum>(word: &str) -> anyhow::Result<T> {
    T::from_str(word, false).map_err(|_| anyhow::anyhow!("`{word}` is not known"))
}

/// A list, or one text.
fn items(value: &Value) -> anyhow::Result<Vec<String>> {
    match value {
        Value::Sequence(all) => all.iter().map(scalar).collect(),
        Value::Null => bail!("a value is missing"),
        one => Ok(vec![scalar(one)?]),
    }
}

/// A list, or one text of words separated by spaces.
fn words(value: &Value) -> anyhow::Result<Vec<String>> {
    match value {
        Value::Sequence(_) => items(value),
        one => Ok(items(one)?[0].split_whitespace().map(str::to_owned).collect()),
    }
}

fn scalar(value: &Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(bool) => Ok(bool.to_string()),
        _ => bail!("a text is expected; quote it where it holds `: ` or begins with a bracket"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Declaration> {
        Declaration::parse(text.lines())
    }

    #[test]
    fn a_full_declaration() {
        let it = parse(
            " flavours: [host, ns]\n routes: [once, thrice]\n needs: [cap:sys_nice, prog:sh]\n timeout: 5\n\
             options: --file-locks --ghost-limit 4M\n dump-options: -j\n session: shell\n restorer: odd\n witness: -pos # it reads on",
        )
        .unwrap();
        assert_eq!(it.flavours, [Flavour::Host, Flavour::Ns]);
        assert_eq!(it.routes, [Route::Once, Route::Thrice]);
        assert_eq!(it.timeout, Duration::from_secs(5));
        assert_eq!(it.session, Session::Shell);
        assert_eq!(it.restorer, Restorer::Odd);
        assert_eq!(it.dump_options, ["--file-locks", "--ghost-limit", "4M", "-j"]);
        assert_eq!(it.restore_options, ["--file-locks", "--ghost-limit", "4M"]);
        assert_eq!(it.exempt, ["pos"]);
        assert_eq!(it.needs.len(), 2);
    }

    #[test]
    fn mistakes_are_errors() {
        for wrong in [
            "flavour: host",
            "flavours: [vm]",
            "routes: [twice]",
            "timeout: soon",
            "timeout: -1",
            "session: mine",
            "witness: -pos",
            "witness: pos # why",
            "no key",
            "timeout: 1\ntimeout: 2",
            "needs: [kernel:nonsense]",
            "damage: truncate core-*",
            "dump-fails: a\nrestore-fails: b",
            "dump-fails: a\nroutes: [thrice]",
            "dump-fails: [a",
            "dump-fails:",
        ] {
            assert!(parse(wrong).is_err(), "`{wrong}` was accepted");
        }
    }

    #[test]
    fn a_list_of_cases() {
        let all =
            parse_list("a/b\n//! About b.\n//!\n//! More.\n//@ dump-fails: socket\n\na/c\n//! About c.\n").unwrap();
        assert_eq!((all[0].name.as_str(), all[0].about.as_str()), ("a/b", "About b."));
        assert_eq!(all[0].declaration.routes, [Route::Once]);
        assert_eq!(all[1].declaration.routes, Route::DEFAULT);
    }
}
