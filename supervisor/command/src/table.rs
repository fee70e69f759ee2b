//! Rows in columns, as wide as the terminal. What does not fit is put below its row, cut with a mark, or left out and
//! named below the table; nothing is dropped without a sign. What the rows say is decided elsewhere.

use crate::columns::{padded_left, padded_right, shortened, width_of, wrapped};
use crate::output::printable;
use crate::style::{Colour, Style};

/// The alignment of a cell in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Columns between two cells.
const GAP: usize = 2;

/// No column of text is made narrower than this.
const TEXT_WIDTH_MIN: usize = 8;

/// The indentation of a sentence below its row.
const INDENT: &str = "    ";

/// Lines of a sentence below its row; more of it is cut, with a mark.
const SENTENCE_LINES_MAX: usize = 3;

/// A table of `COLUMNS` columns, each with its heading. The last column is as wide as each line needs.
pub(crate) struct Table<const COLUMNS: usize> {
    headings: [(&'static str, Align); COLUMNS],
    rows: Vec<[String; COLUMNS]>,
    has_sentences: bool,
    expendable: &'static [usize],
    /// The option that shows what does not fit.
    whole_by: &'static str,
}

/// Which columns are shown, and how wide they are.
struct Layout<const COLUMNS: usize> {
    widths: [usize; COLUMNS],
    shown: [bool; COLUMNS],
    /// Whether the last column is printed below each row.
    sentences_below: bool,
}

impl<const COLUMNS: usize> Layout<COLUMNS> {
    fn width(&self) -> usize {
        let shown = (0..COLUMNS).filter(|at| self.shown[*at]);
        shown.map(|at| self.widths[at] + GAP).sum::<usize>().saturating_sub(GAP)
    }
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// No rows yet.
    pub(crate) fn new(headings: [(&'static str, Align); COLUMNS]) -> Table<COLUMNS> {
        Table { headings, rows: Vec::new(), has_sentences: false, expendable: &[], whole_by: "--json" }
    }

    /// The last column has sentences, which are printed below their rows where one of them does not fit in its row.
    pub(crate) fn with_sentences(mut self) -> Table<COLUMNS> {
        self.has_sentences = true;
        self
    }

    /// These columns are dropped where not all fit, in this order.
    pub(crate) fn with_expendable(mut self, columns: &'static [usize]) -> Table<COLUMNS> {
        self.expendable = columns;
        self
    }

    /// This option, and not `--json`, shows what does not fit.
    pub(crate) fn shown_whole_by(mut self, option: &'static str) -> Table<COLUMNS> {
        self.whole_by = option;
        self
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        // A tab has no width of its own.
        self.rows.push(cells.map(|cell| printable(&cell).replace('\t', " ")));
    }

    /// The text, or nothing where there are no rows. With a width, no line is longer. `colour` decides how a cell of a
    /// row is coloured: by its column, and the row.
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
        let width = width.unwrap_or(usize::MAX);
        let layout = self.layout(width);
        let headings = self.headings.map(|(heading, _)| heading.to_owned());
        self.line(&mut text, &headings, &layout, |_, cell| style.paint(Colour::Strong, cell));
        for row in &self.rows {
            let paint = |at: usize, cell: &str| match colour(at, row) {
                Some(colour) => style.paint(colour, cell),
                None => cell.to_owned(),
            };
            self.line(&mut text, row, &layout, paint);
            if layout.sentences_below {
                for line in below(&row[COLUMNS - 1], width) {
                    text.push_str(&format!("{INDENT}{}\n", paint(COLUMNS - 1, &line)));
                }
            }
        }
        for line in self.left_out(&layout, width) {
            text.push_str(&style.paint(Colour::Faint, &line));
            text.push('\n');
        }
        text
    }

    fn layout(&self, width: usize) -> Layout<COLUMNS> {
        let mut widths = self.headings.map(|(heading, _)| width_of(heading));
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(width_of(cell));
            }
        }
        let mut layout = Layout { widths, shown: [true; COLUMNS], sentences_below: false };
        if self.has_sentences && layout.width() > width {
            layout.shown[COLUMNS - 1] = false;
            layout.sentences_below = true;
        }
        hide(&mut layout, self.expendable.iter().copied(), width);
        self.narrow(&mut layout, width, TEXT_WIDTH_MIN);
        // On a terminal of a few columns all but the first are dropped.
        hide(&mut layout, (1..COLUMNS).rev(), width);
        self.narrow(&mut layout, width, 1);
        layout
    }

    /// Makes the widest columns of text narrower, as far as needed and not below `least`.
    fn narrow(&self, layout: &mut Layout<COLUMNS>, width: usize, least: usize) {
        while layout.width() > width {
            let of_text = (0..COLUMNS).filter(|at| layout.shown[*at] && self.headings[*at].1 == Align::Left);
            let Some(widest) = of_text.max_by_key(|at| layout.widths[*at]) else { break };
            if layout.widths[widest] <= least {
                break;
            }
            layout.widths[widest] -= 1;
        }
    }

    /// Which columns are not shown, and what shows them.
    fn left_out(&self, layout: &Layout<COLUMNS>, width: usize) -> Vec<String> {
        let hidden = |at: &usize| !(layout.shown[*at] || layout.sentences_below && *at == COLUMNS - 1);
        let names: Vec<&str> = (0..COLUMNS).filter(hidden).map(|at| self.headings[at].0).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let Table { whole_by, .. } = self;
        wrapped(&format!("not shown in {width} columns: {} ({whole_by} shows all)", names.join(", ")), width)
    }

    /// Adds one line. The cells are padded and cut before they are painted: escape sequences have no width.
    fn line(
        &self,
        text: &mut String,
        cells: &[String; COLUMNS],
        layout: &Layout<COLUMNS>,
        paint: impl Fn(usize, &str) -> String,
    ) {
        let mut gap = 0;
        for (at, cell) in cells.iter().enumerate().filter(|(at, _)| layout.shown[*at]) {
            let cell = shortened(cell, layout.widths[at]);
            let padded = match self.headings[at].1 {
                Align::Right => padded_left(&cell, layout.widths[at]),
                Align::Left if at + 1 == COLUMNS => cell,
                Align::Left => padded_right(&cell, layout.widths[at]),
            };
            text.push_str(&" ".repeat(gap));
            text.push_str(&paint(at, &padded));
            gap = GAP;
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
}

/// Drops columns, one after the other, until the others fit.
fn hide<const COLUMNS: usize>(layout: &mut Layout<COLUMNS>, columns: impl Iterator<Item = usize>, width: usize) {
    for at in columns {
        if layout.width() > width {
            layout.shown[at] = false;
        }
    }
}

/// A sentence in lines for below its row.
fn below(sentence: &str, width: usize) -> Vec<String> {
    if sentence.is_empty() {
        return Vec::new();
    }
    let columns = width.saturating_sub(INDENT.len());
    let mut lines = wrapped(sentence, columns);
    if lines.len() > SENTENCE_LINES_MAX {
        lines.truncate(SENTENCE_LINES_MAX);
        let last = lines.last_mut().expect("there are several");
        *last = shortened(&format!("{last} …"), columns);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_columns_and_no_rows_are_nothing() {
        let mut table = Table::new([("N", Align::Right), ("NAME", Align::Left), ("WHY", Align::Left)]);
        assert_eq!(table.render(Style::Plain, None, |_, _| None), "");
        table.row(["7".into(), "a\x1b[2J".into(), "b\tc".into()]);
        table.row(["12".into(), "日本".into(), String::new()]);
        let expected = " N  NAME        WHY\n 7  a\\u{1b}[2J  b c\n12  日本\n";
        assert_eq!(table.render(Style::Plain, None, |_, _| None), expected);
    }

    fn table() -> Table<4> {
        use Align::{Left, Right};
        let mut table = Table::new([("NAME", Left), ("COUNT", Right), ("PLACE", Left), ("ERROR", Left)]);
        table.row(["日本語".into(), "1".into(), "a long place".into(), "it has no 日本語 left".into()]);
        table.row(["b".into(), "1000".into(), "p".into(), String::new()]);
        table.with_sentences().with_expendable(&[2])
    }

    #[test]
    fn a_sentence_that_does_not_fit_stands_below_its_row() {
        let beside = "\
NAME    COUNT  PLACE         ERROR
日本語      1  a long place  it has no 日本語 left
b        1000  p
";
        let below = "\
NAME    COUNT  PLACE
日本語      1  a long place
    it has no 日本語 left
b        1000  p
";
        assert_eq!(table().render(Style::Plain, None, |_, _| None), beside);
        assert_eq!(table().render(Style::Plain, Some(50), |_, _| None), beside);
        assert_eq!(table().render(Style::Plain, Some(49), |_, _| None), below);
    }

    #[test]
    fn a_column_without_room_is_named() {
        let expected = "\
NAME    COUNT
日本語      1
    it has no 日本語
    left
b        1000
not shown in 20
columns: PLACE
(--json shows all)
";
        assert_eq!(table().render(Style::Plain, Some(20), |_, _| None), expected);
    }

    #[test]
    fn at_every_width_no_line_is_longer_and_nothing_goes_without_a_mark() {
        for width in 2..60 {
            let text = table().render(Style::Plain, Some(width), |_, _| None);
            assert!(text.lines().all(|line| width_of(line) <= width.max(6)), "{width}\n{text}");
            for (heading, cell) in [("COUNT", "1000"), ("PLACE", "a long place")] {
                let has_all = text.contains(cell) || text.replace(['\n', ' '], "").contains(heading);
                assert!(has_all, "{width}\n{text}");
            }
        }
    }

    #[test]
    fn a_sentence_of_many_lines_is_cut_with_a_mark() {
        assert_eq!(below(&"word ".repeat(7), 14), ["word word", "word word", "word word…"]);
    }
}
