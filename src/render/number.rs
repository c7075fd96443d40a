//! Numbers as people read them.

pub use crate::model::number::grouped;

/// `1 audit`, `3 audits`.
pub fn audits(number: u64) -> String {
    plural(number, "audit", "audits")
}

/// `1 gap`, `1,204 gaps`.
pub fn plural(number: impl Into<i128>, one: &str, many: &str) -> String {
    let number = number.into();
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `2nd`, `3rd`, `11th`.
pub fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{}{ending}", grouped(number))
}

/// The same of what has no sign; an IPv6 pool has more than a signed number holds.
pub fn number(number: u128) -> String {
    i128::try_from(number).map_or_else(|_| format!("{:.1e}", number as f64), grouped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_read_them() {
        let table: [(i128, &str); 7] = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (48_213_907, "48,213,907"),
            (-65_536, "-65,536"),
            (i128::from(i64::MAX), "9.2e18"),
            (i128::MIN, "-1.7e38"),
        ];
        for (number, text) in table {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((audits(1), audits(1_204)), ("1 audit".to_owned(), "1,204 audits".to_owned()));
        let ordinals: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 112, 1_003].map(ordinal).into();
        assert_eq!(ordinals, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th", "1,003rd"]);
    }
}
