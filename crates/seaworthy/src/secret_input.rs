//! Passwords from whoever sits at the terminal: nothing of them is shown. Or from stdin, as scripts give them.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// Longest password; tokens of registries have some thousand bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Reads a password. `from_stdin` reads stdin to its end; else a terminal is asked with `prompt`, and anything that is
/// no terminal gives its first line.
pub async fn read(prompt: &str, from_stdin: bool) -> io::Result<String> {
    let mut hidden = None;
    if !from_stdin && io::stdin().is_terminal() {
        hidden = Some(Hidden::start()?);
        eprint!("{prompt}");
        io::stderr().flush()?;
    }
    // A thread of its own: a terminal may never answer, and Ctrl-C must end the command all the same.
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let stdin = io::stdin().lock().take(MAX_BYTES);
        let mut stdin = io::BufReader::new(stdin);
        let done = match from_stdin {
            true => stdin.read_to_string(&mut text),
            false => io::BufRead::read_line(&mut stdin, &mut text),
        };
        // Nobody listens when the command was interrupted.
        let _ = tell.send(done.map(|_| text));
    });
    let text = told.await.map_err(io::Error::other)??;
    if hidden.take().is_some() {
        eprintln!();
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing is left to do where a terminal is gone.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}
