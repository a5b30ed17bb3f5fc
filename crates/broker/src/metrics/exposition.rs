//! Samples as Prometheus reads them, for names that are not ours to choose.

use std::fmt::{Display, Write as _};

/// Which of the two text formats a scraper asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text format 0.0.4.
    Plain,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format for the `Accept` header of a request.
    pub(crate) fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Format::OpenMetrics,
            _ => Format::Plain,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Summary,
    /// A gauge whose name, chosen elsewhere, ends as only a summary's samples should.
    Unknown,
}

/// A text under construction. A family's samples follow its head.
pub(super) struct Exposition {
    text: String,
    format: Format,
    name: String,
}

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Exposition { text: String::new(), format, name: String::new() }
    }

    /// Begins a family. A counter's samples end in `_total`, which `name` does not.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) -> &mut Self {
        let (word, total) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Summary => ("summary", ""),
            Kind::Unknown if self.format == Format::OpenMetrics => ("unknown", ""),
            Kind::Unknown => ("untyped", ""),
        };
        self.name = format!("{name}{total}");
        let head = if self.format == Format::OpenMetrics { name } else { &self.name };
        // Formatting into a String does not fail, here and below.
        let _ = writeln!(self.text, "# HELP {head} {help}.\n# TYPE {head} {word}");
        self
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) -> &mut Self {
        self.suffixed("", labels, value)
    }

    pub(super) fn suffixed(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: impl Display) -> &mut Self {
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        for (i, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"", if i == 0 { '{' } else { ',' });
            let _ = write!(Escaped(&mut self.text), "{value}");
            self.text.push('"');
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
        self
    }

    /// Adds what the library wrote, in the same format.
    pub(super) fn append(&mut self, open_metrics: &str) {
        for line in open_metrics.lines() {
            let kept = match self.format {
                Format::OpenMetrics => line != "# EOF",
                Format::Plain => line != "# EOF" && !line.starts_with("# UNIT "),
            };
            if kept {
                self.text.push_str(line);
                self.text.push('\n');
            }
        }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// In the plain format a counter's head names its samples, with `_total`.
pub(super) fn with_plain_counters(open_metrics: &str) -> String {
    let counters: Vec<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let head = ["# HELP ", "# TYPE "].iter().find_map(|head| Some((*head, line.strip_prefix(head)?)));
        match head.and_then(|(head, rest)| Some((head, rest.split_once(' ')?))) {
            Some((head, (name, rest))) if counters.contains(&name) => {
                let _ = writeln!(text, "{head}{name}_total {rest}");
            }
            _ => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

/// Escapes what may not stand in a label's value.
struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        for c in s.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_name_counters_as_each_format_wants() {
        for (format, head) in [(Format::Plain, "kafka_x_total"), (Format::OpenMetrics, "kafka_x")] {
            let mut text = Exposition::new(format);
            text.family("kafka_x", Kind::Counter, "Xs").sample(&[("topic", &"a\"\\\n")], 3);
            text.family("kafka_y", Kind::Gauge, "Ys").sample(&[], 4);
            let expected = format!(
                "# HELP {head} Xs.\n# TYPE {head} counter\nkafka_x_total{{topic=\"a\\\"\\\\\\n\"}} 3\n# HELP kafka_y Ys.\n\
                 # TYPE kafka_y gauge\nkafka_y 4\n"
            );
            let eof = if format == Format::OpenMetrics { "# EOF\n" } else { "" };
            assert_eq!(text.finish(), expected + eof);
        }
    }

    #[test]
    fn the_librarys_text_becomes_plain() {
        let library =
            "# HELP a_b Bs.\n# TYPE a_b counter\n# UNIT a_b b\na_b_total 1\n# HELP g Gs.\n# TYPE g gauge\ng 2\n# EOF\n";
        let mut text = Exposition::new(Format::Plain);
        text.append(&with_plain_counters(library));
        assert_eq!(
            text.finish(),
            "# HELP a_b_total Bs.\n# TYPE a_b_total counter\na_b_total 1\n# HELP g Gs.\n# TYPE g gauge\ng 2\n"
        );
    }

    #[test]
    fn the_format_is_the_one_that_was_asked_for() {
        assert_eq!(Format::accepted(None), Format::Plain);
        assert_eq!(Format::accepted(Some("text/plain;version=0.0.4")), Format::Plain);
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
    }
}
