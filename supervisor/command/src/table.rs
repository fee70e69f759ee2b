//! Rows in columns, cut to the width of the terminal. What the rows say is decided elsewhere.

use crate::output::printable;
use crate::style::{Colour, Style};

/// Where a cell stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table of `COLUMNS` columns, each with its heading. The last column is as wide as each line needs.
pub(crate) struct Table<const COLUMNS: usize> {
    headings: [(&'static str, Align); COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// No rows yet.
    pub(crate) fn new(headings: [(&'static str, Align); COLUMNS]) -> Table<COLUMNS> {
        Table { headings, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| printable(&cell)));
    }

    /// The text, or nothing where there are no rows. With a width, lines are cut to it. `colour` says how a
    /// cell of a row is painted: by its column, and the row.
    pub(crate) fn render(
        &self,
        style: Style,
        width: Option<usize>,
        colour: impl Fn(usize, &[String; COLUMNS]) -> Option<Colour>,
    ) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            return text;
        }
        let mut widths = self.headings.map(|(heading, _)| heading.len());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let headings = self.headings.map(|(heading, _)| heading.to_owned());
        self.line(&mut text, &headings, &widths, width, |_, cell| style.paint(Colour::Strong, cell));
        for row in &self.rows {
            self.line(&mut text, row, &widths, width, |at, cell| match colour(at, row) {
                Some(colour) => style.paint(colour, cell),
                None => cell.to_owned(),
            });
        }
        text
    }

    /// Adds one line. The cells are padded and cut before they are painted: escape sequences have no width.
    fn line(
        &self,
        text: &mut String,
        cells: &[String; COLUMNS],
        widths: &[usize; COLUMNS],
        width: Option<usize>,
        paint: impl Fn(usize, &str) -> String,
    ) {
        let mut left = width.unwrap_or(usize::MAX);
        for (at, cell) in cells.iter().enumerate() {
            let gap = if at == 0 { "" } else { "  " };
            let padded = match self.headings[at].1 {
                Align::Right => format!("{cell:>0$}", widths[at]),
                Align::Left if at + 1 == COLUMNS => cell.clone(),
                Align::Left => format!("{cell:<0$}", widths[at]),
            };
            let needed = padded.chars().count();
            if left <= gap.len() + 1 || padded.is_empty() {
                break;
            }
            left -= gap.len();
            text.push_str(gap);
            if needed > left {
                text.push_str(&paint(at, &shortened(&padded, left)));
                break;
            }
            text.push_str(&paint(at, &padded));
            left -= needed;
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
}

/// `text` in at most so many characters, of which the last says that there is more.
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_columns_and_no_rows_are_nothing() {
        let mut table = Table::new([("N", Align::Right), ("NAME", Align::Left), ("WHY", Align::Left)]);
        assert_eq!(table.render(Style::Plain, None, |_, _| None), "");
        table.row(["7".into(), "a\x1b[2J".into(), "b".into()]);
        table.row(["12".into(), "c".into(), String::new()]);
        let expected = " N  NAME        WHY\n 7  a\\u{1b}[2J  b\n12  c\n";
        assert_eq!(table.render(Style::Plain, None, |_, _| None), expected);
        assert_eq!(table.render(Style::Plain, Some(9), |_, _| None), " N  NAME…\n 7  a\\u{…\n12  c   …\n");
    }
}
