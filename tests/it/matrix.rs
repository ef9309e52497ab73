//! Containers of every configuration: backed up, deleted with volumes and networks, restored, and compared
//! by an own reading of `docker inspect`.

mod commands;
mod frame;
mod images;
mod limits;
mod network;
mod normal;
mod process;
mod states;
mod storage;
