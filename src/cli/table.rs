//! Columns for a terminal.

use std::fmt;

/// Rows whose columns stand below each other. What cells hold comes from elsewhere: control characters are taken out,
/// so that a name cannot write on the terminal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let clean = |cell: String| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push(cells.into_iter().map(clean).collect());
    }

    fn width(&self, column: usize) -> usize {
        self.0.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// Without a line end after the last row.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, row) in self.0.iter().enumerate() {
            let cells =
                row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = self.width(column)));
            let line = cells.collect::<Vec<_>>().join("  ");
            write!(f, "{}{}", if at == 0 { "" } else { "\n" }, line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_and_names_cannot_write_on_the_terminal() {
        let mut table = Table::default();
        table.row(["name".into(), "mail".into()]);
        table.row(["Jos\u{e9}\x1b[2J".into(), "j@a.example".into()]);
        table.row(["A".into(), String::new()]);
        assert_eq!(table.to_string(), "name      mail\nJos\u{e9} [2J  j@a.example\nA");
    }
}
