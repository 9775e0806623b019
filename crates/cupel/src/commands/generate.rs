use std::{
    io::{self, Write},
    process::ExitCode,
};

use data::Decoder;
use miette::{Context, IntoDiagnostic};
use model::{GenerateError, Sampling};
use training::Trained;

use crate::arguments::GenerateArguments;

pub fn generate(arguments: &GenerateArguments) -> miette::Result<ExitCode> {
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_k: arguments.top_k,
        top_p: arguments.top_p,
    };
    // Before the model is read, which takes its time.
    sampling.validate().into_diagnostic()?;
    if arguments.prompt.is_empty() {
        return Err(GenerateError::EmptyPrompt).into_diagnostic();
    }
    let trained = Trained::open(&arguments.checkpoint, &arguments.device.open()?)?;
    let prompt = trained
        .tokenizer
        .encode_prompt(&arguments.prompt)
        .into_diagnostic()?;
    let generation = trained
        .model
        .generate(&prompt, sampling, arguments.seed)
        .into_diagnostic()?;

    let mut decoder = Decoder::new(&trained.tokenizer);
    if !print(&arguments.prompt)? {
        return Ok(ExitCode::SUCCESS);
    }
    for token in generation.take(arguments.tokens) {
        let text = decoder.push(token.into_diagnostic()?).into_diagnostic()?;
        if !print(&text)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    print(&(decoder.finish() + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a text at once, and says whether anyone still reads.
fn print(text: &str) -> miette::Result<bool> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error)
            .into_diagnostic()
            .wrap_err("cannot write to the standard output"),
    }
}
