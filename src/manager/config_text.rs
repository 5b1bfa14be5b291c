//! What the text of `token-config.json` says, and where: `config` knows the settings, `store` the lines.

use std::path::Path;

use crate::config::{ConfigLayer, ProblemKind};
use crate::store::json_text;

/// The settings in the text of `file`. Where it is no JSON, that is its one problem.
pub(crate) fn config_layer(file: &Path, text: &str) -> ConfigLayer {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = if text.trim().is_empty() { "{}" } else { text };
    match serde_json::from_str(text) {
        Ok(root) => ConfigLayer::new(file, &root, |path| json_text::line_of(text, path)),
        Err(error) => {
            let (line, column) = match (error.line(), error.column()) {
                // The parser takes a line break for the beginning of the next line.
                (line @ 2.., 0) => {
                    let before = text.lines().nth(line - 2).unwrap_or_default();
                    (line - 1, before.len() + 1)
                }
                (line, column) => (line, column.max(1)),
            };
            ConfigLayer::broken(file, Some(line), ProblemKind::NotJson { column })
        }
    }
}
