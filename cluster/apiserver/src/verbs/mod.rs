//! The verbs on stored objects.

mod create;
mod delete;
mod get;
mod list;
mod list_body;
mod page;
mod patch;
mod scale;
mod select;
mod update;
mod watch;
mod watch_encode;

pub(crate) use create::{create, create_value};
pub(crate) use delete::{delete, delete_collection, delete_one};
pub(crate) use get::get;
pub(crate) use list::list;
pub(crate) use patch::patch;
pub(crate) use scale::scale;
pub(crate) use update::update;
pub(crate) use watch::watch;
