//! What a command tells: rows, as a table for people or JSON for programs.

use std::io::{self, Write};

use chronik_client::ApiError;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
}

/// Rows of one shape. In JSON an array of objects, whose `error` is null or says what is wrong with the row's item.
pub struct Report {
    columns: &'static [&'static str],
    rows: Vec<(Vec<Value>, Option<Value>)>,
}

impl Report {
    pub fn new(columns: &'static [&'static str]) -> Self {
        Report { columns, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<Value>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push((cells, None));
    }

    /// An item that failed. `cells` are those that name it; the others are null.
    pub fn failed(&mut self, mut cells: Vec<Value>, error: &ApiError) {
        cells.resize(self.columns.len(), Value::Null);
        self.rows.push((cells, Some(error_json(error))));
    }

    /// An item that failed for a reason that has no code.
    pub fn failed_because(&mut self, mut cells: Vec<Value>, reason: &str) {
        cells.resize(self.columns.len(), Value::Null);
        self.rows.push((cells, Some(json!({ "code": null, "name": null, "message": reason }))));
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints the rows.
    ///
    /// # Errors
    /// Some items failed: [`Failure::Items`].
    pub fn print(self, output: Output) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match output {
            Output::Json => writeln!(out, "{:#}", self.json())?,
            Output::Table => {
                write!(out, "{}", self.table())?;
                out.flush()?;
                for (cells, error) in &self.rows {
                    if let Some(error) = error {
                        eprintln!("chronik: {}: {}", name_of(cells), error_text(error));
                    }
                }
            }
        }
        out.flush()?;
        drop(out);
        self.verdict()
    }

    /// Whether items failed.
    pub fn verdict(&self) -> Result<(), Failure> {
        match self.rows.iter().filter(|(_, error)| error.is_some()).count() {
            0 => Ok(()),
            failed => Err(Failure::Items(failed)),
        }
    }

    pub fn json(&self) -> Value {
        let object = |(cells, error): &(Vec<Value>, Option<Value>)| {
            let fields = self.columns.iter().zip(cells).map(|(key, cell)| ((*key).to_owned(), cell.clone()));
            let mut object: Map<String, Value> = fields.collect();
            object.insert("error".into(), error.clone().unwrap_or(Value::Null));
            Value::Object(object)
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// The rows without an error, a line each under a line of headings; nothing where there is none.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(self.columns.iter().map(|column| column.to_uppercase().replace('_', "-")));
        let good: Vec<_> = self.rows.iter().filter(|(_, error)| error.is_none()).map(|(cells, _)| cells).collect();
        if good.is_empty() {
            return String::new();
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            let numbers = good.iter().all(|cells| cells.get(index).is_none_or(|c| c.is_number() || c.is_null()));
            column.set_padding((0, 2));
            column.set_cell_alignment(if numbers { CellAlignment::Right } else { CellAlignment::Left });
        }
        for cells in good {
            table.add_row(cells.iter().map(shown));
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        lines.concat()
    }
}

/// A value as a cell of a table.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn name_of(cells: &[Value]) -> String {
    cells.iter().filter(|cell| !cell.is_null()).map(shown).collect::<Vec<_>>().join(" ")
}

fn error_json(error: &ApiError) -> Value {
    json!({ "code": error.code, "name": error.name(), "message": error.message })
}

fn error_text(error: &Value) -> String {
    let parts = ["name", "message"].iter().filter_map(|key| error[key].as_str());
    parts.collect::<Vec<_>>().join(": ")
}

/// Prints one line. As `println!`, but a closed pipe is an error and no panic.
pub fn line(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Prints one JSON document.
pub fn print_json(value: &Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value:#}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_protocol::error::ErrorCode;

    #[test]
    fn rows_are_lined_up_and_failures_kept_apart() {
        let mut report = Report::new(&["topic", "end_offset"]);
        report.row(vec![json!("a-long-name"), json!(7)]);
        report.row(vec![json!("b"), json!(123_456)]);
        report.failed(vec![json!("c")], &ErrorCode::UnknownTopicOrPartition.into());
        assert_eq!(report.table(), "TOPIC        END-OFFSET\na-long-name           7\nb                123456\n");
        let json = report.json();
        assert_eq!(json[0]["end_offset"], json!(7));
        assert_eq!(json[0]["error"], Value::Null);
        assert_eq!(json[2]["error"]["name"], json!("UNKNOWN_TOPIC_OR_PARTITION"));
    }
}
