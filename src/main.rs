//! The one binary: `serve` (default), `worker`, `healthcheck`, `reset-password`.

use std::process::ExitCode;

use clap::Parser;
use container_monkey::{
    app::App,
    config::{Cli, Command},
    model::secret::Secret,
    ops, telemetry, web, worker,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The worker brings its own threads and must not log to standard output.
    if matches!(cli.command, Some(Command::Worker)) {
        return worker::serve();
    }
    let config = match cli.config.complete() {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    let done = runtime.block_on(async {
        match cli.command {
            None | Some(Command::Serve | Command::Worker) => {
                telemetry::init(&config.log);
                web::serve(config).await
            }
            Some(Command::Healthcheck) => web::healthcheck(&config).await,
            Some(Command::ResetPassword { username }) => {
                let password = read_password()?;
                let app = App::start(config).await.map_err(|error| error.to_string())?;
                let reset = ops::users::reset(&app, &username, password).await;
                reset.map_err(|error| error.to_string())
            }
        }
    });
    // Blocking threads that still wait must not hold the process up.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("container-monkey: {why}");
    ExitCode::FAILURE
}

fn read_password() -> Result<Secret, String> {
    eprintln!("New password (12 characters or more, upper, lower, digit, special):");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}
