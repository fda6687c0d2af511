//! `crownest templates …`.

use clap::Subcommand;

use super::projects::PageArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum TemplatesCommand {
    /// List templates, newest first
    List(PageArgs),
    /// Show a template with its versions, newest first
    #[command(after_help = "\
Runs that name the template only get its current version; `--template-version` names any other.

Example:
  crownest templates show python-node")]
    Show {
        /// Its slug or its id
        #[arg(value_name = "TEMPLATE")]
        name: String,
    },
}
