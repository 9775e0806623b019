//! Running other programs, in plain sight.

use std::process::Command;

use crate::error::Error;

/// Shows the command on stderr, runs it to its end, and fails where it fails.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command.status().map_err(|cause| Error::Start {
        command: shown.clone(),
        cause,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed {
            command: shown,
            status,
        })
    }
}

/// The command as one would type it.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| quote(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The word, in single quotes where a POSIX shell would otherwise read more into it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_plain() {
        assert_eq!(
            quote("/home/me/.cache/torch-2.9.0"),
            "/home/me/.cache/torch-2.9.0"
        );
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["", "a b", "it's", "$HOME", "`x`", "a\nb", r"back\slash", "*"] {
            let script = format!("printf %s {}", quote(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn a_failure_keeps_the_exit_code() {
        let error = run(Command::new("sh").args(["-c", "exit 7"])).unwrap_err();
        assert!(matches!(error, Error::Failed { status, .. } if status.code() == Some(7)));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }
}
