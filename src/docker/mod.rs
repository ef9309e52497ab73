//! Everything that talks to the Docker engine. Raw JSON wherever a setting of
//! the user passes through: typed structs lose fields of other engine versions.

mod capture;
mod client;
mod compare;
mod connect;
mod containers;
mod describe;
mod endpoints;
mod error;
mod events;
mod exec;
mod export;
mod helpers;
mod identity;
mod images;
mod layer;
mod logs;
mod networks;
mod payload;
mod plan;
mod podman;
mod recreate;
mod renew;
mod siblings;
mod stacks;
mod stats;
mod swarm;
mod volumes;

pub use capture::Capture;
pub use client::Docker;
pub use describe::{compose_file, docker_run_command};
pub use error::DockerError;
pub use events::EventStream;
pub use exec::{Exec, ExecOptions, Input, Process, Program};
pub use helpers::Leftover;
pub use images::{Counts, Removed};
pub use layer::{layer_path, same_layer_form};
pub use logs::{LogStream, Writer};
pub use networks::{is_built_in, network as network_row, network_differences, subnets};
pub use plan::{Surroundings, bind_sources, is_anonymous, owner, plan_items};
pub use recreate::Created;
pub use renew::{pin_anonymous, take_defaults};
pub use siblings::{Bind, OwnContainer, Running, Said, Sibling};
pub use stacks::StackPart;
pub use stats::StatsStream;
pub use volumes::{VolumeSummary, bind_device, data_path};
