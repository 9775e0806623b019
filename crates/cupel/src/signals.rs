use std::sync::{Arc, atomic::AtomicBool};

use miette::{Context, IntoDiagnostic};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1},
    flag,
};

/// What a person, a scheduler and a terminal that closes send.
const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, SIGUSR1, SIGHUP];

/// The exit code of a process that a second signal has ended, as a shell gives it for Ctrl-C.
const ENDED_AT_ONCE: i32 = 130;

/// Sets `stop` at the first signal, and ends the process at once at the second, whichever it is.
pub fn stop_on_signals(stop: &Arc<AtomicBool>) -> miette::Result<()> {
    for signal in SIGNALS {
        // In this order, lest the first signal find what it has set itself.
        flag::register_conditional_shutdown(signal, ENDED_AT_ONCE, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .into_diagnostic()
            .wrap_err("cannot listen for signals")?;
    }
    Ok(())
}
