//! Secrets in command lines and health checks: by the name of a variable, never by value.
//!
//! A command refers to a variable as Kubernetes does, `$(NAME)`; a health check becomes a line for a shell, which
//! reads `${NAME}`. Either way the service is given the variable.

use seaworthy_app::{EnvValue, EnvVar, HealthTest, Healthcheck, Service};

use crate::error::{Fault, Problem, Result};
use crate::node::Mark;
use crate::secrets;
use crate::top::Cx;
use crate::variables::{has_placeholder, placeholders, rewrite};

/// Rewrites one word of a command and returns the secrets it refers to.
pub fn in_command(word: &mut String) -> Vec<String> {
    let names = names(word);
    // Kubernetes replaces `$(NAME)` in commands; Compose does not, so its own must stay text.
    *word = rewrite(word, |plain| plain.replace("$(", "$$("), |name| format!("$({name})"));
    names
}

/// Rewrites a health check and returns the secrets it refers to.
pub fn in_health_check(health: &mut Healthcheck) -> Vec<String> {
    let (names, line) = match &health.test {
        HealthTest::Shell(line) if has_placeholder(line) => {
            (names(line), rewrite(line, str::to_owned, |name| format!("${{{name}}}")))
        }
        HealthTest::Exec(words) if words.iter().any(|word| has_placeholder(word)) => {
            let line = words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
            (words.iter().flat_map(|word| names(word)).collect(), line)
        }
        _ => return Vec::new(),
    };
    health.test = HealthTest::Shell(line);
    names
}

fn names(text: &str) -> Vec<String> {
    placeholders(text).map(str::to_owned).collect()
}

/// `word` as a shell reads it back, with its placeholders as variables.
fn shell_word(word: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=');
    if !word.is_empty() && word.chars().all(is_safe) {
        return word.to_owned();
    }
    let quoted = |plain: &str| match plain {
        "" => String::new(),
        _ => format!("'{}'", plain.replace('\'', r"'\''")),
    };
    let written = rewrite(word, quoted, |name| format!("\"${{{name}}}\""));
    if written.is_empty() { "''".to_owned() } else { written }
}

/// Gives `service` the variables of that name.
pub fn give(cx: &mut Cx<'_>, service: &mut Service, names: Vec<String>, mark: Mark) -> Result<()> {
    for name in names {
        let value = EnvValue::Secret { key: name.clone() };
        match service.env(&name) {
            Some(known) if *known == value => {}
            // The name means something else in this container.
            Some(_) => return Fault::at(mark, Problem::GeneratedElsewhere { name }),
            None => {
                secrets::use_variable(cx, &name, Some(&service.name));
                service.environment.push(EnvVar { name, value });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::placeholder;

    #[test]
    fn a_command_refers_as_kubernetes_does_and_its_own_text_stays() {
        let mut word = format!("--pass={} $(date)", placeholder("PW"));
        assert_eq!(in_command(&mut word), ["PW"]);
        assert_eq!(word, "--pass=$(PW) $$(date)");
    }

    #[test]
    fn a_health_check_with_a_secret_becomes_a_line_for_a_shell() {
        let words = ["redis-cli", "-a", &placeholder("PW"), "it's", ""].map(str::to_owned);
        let mut health = Healthcheck::new(HealthTest::Exec(words.into()));
        assert_eq!(in_health_check(&mut health), ["PW"]);
        let HealthTest::Shell(line) = health.test else { panic!("not a line") };
        assert_eq!(line, r#"redis-cli -a "${PW}" 'it'\''s' ''"#);
    }
}
