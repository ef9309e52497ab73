//! Escape sequences of terminals: colours become classes, everything else goes.
//! Text is never markup; templates escape it.

/// Text of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Classes, space separated; empty = plain.
    pub(super) class: String,
    pub(super) text: String,
}

/// What the sequences have switched on.
#[expect(clippy::struct_excessive_bools, reason = "each is switched by a sequence of its own")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
    /// 0 to 15.
    front: Option<u8>,
    back: Option<u8>,
}

/// A line as a terminal would show it, in parts of one look each.
pub(super) fn spans(line: &str) -> Vec<Span> {
    let mut spans: Vec<(Look, String)> = Vec::new();
    let mut look = Look::default();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                if let Some(codes) = skip_escape(&mut rest) {
                    look.apply(&codes);
                }
            }
            // The cursor goes back: what follows is written over it.
            '\r' => spans.clear(),
            '\u{8}' => {
                if let Some((_, text)) = spans.last_mut() {
                    text.pop();
                }
            }
            c if c.is_control() && c != '\t' => {}
            c => match spans.last_mut() {
                Some((last, text)) if *last == look => text.push(c),
                _ => spans.push((look, c.to_string())),
            },
        }
    }
    spans.into_iter().map(|(look, text)| Span { class: look.class(), text }).collect()
}

/// The same without any look.
pub(super) fn plain(line: &str) -> String {
    spans(line).into_iter().map(|span| span.text).collect()
}

/// Goes past a sequence; its numbers if it sets colours.
fn skip_escape(rest: &mut std::str::Chars<'_>) -> Option<String> {
    match rest.clone().next()? {
        '[' => {
            rest.next();
            let mut codes = String::new();
            for c in rest.by_ref() {
                match c {
                    'm' => return Some(codes),
                    '\u{40}'..='\u{7e}' => return None,
                    c => codes.push(c),
                }
            }
            None
        }
        // Titles and links: up to BEL or ESC \.
        ']' | 'P' | '_' | '^' => {
            let mut escape = false;
            for c in rest.by_ref() {
                if c == '\u{7}' || (escape && c == '\\') {
                    break;
                }
                escape = c == '\u{1b}';
            }
            None
        }
        '(' | ')' | '#' => {
            rest.next();
            rest.next();
            None
        }
        _ => {
            rest.next();
            None
        }
    }
}

impl Look {
    fn apply(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            let small = |from: u16| u8::try_from(code - from).ok();
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                7 => self.inverse = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.inverse = false,
                30..=37 => self.front = small(30),
                90..=97 => self.front = small(82),
                40..=47 => self.back = small(40),
                100..=107 => self.back = small(92),
                38 => self.front = palette(&mut codes),
                48 => self.back = palette(&mut codes),
                39 => self.front = None,
                49 => self.back = None,
                _ => {}
            }
        }
    }

    fn class(self) -> String {
        let flags = [
            (self.bold, "a-bold"),
            (self.dim, "a-dim"),
            (self.italic, "a-italic"),
            (self.underline, "a-underline"),
            (self.inverse, "a-inverse"),
        ];
        let mut classes: Vec<String> =
            flags.iter().filter(|(set, _)| *set).map(|(_, class)| (*class).to_owned()).collect();
        classes.extend(self.front.map(|colour| format!("a-f{colour}")));
        classes.extend(self.back.map(|colour| format!("a-b{colour}")));
        classes.join(" ")
    }
}

/// One of 256 or of all colours, as the nearest of 16.
fn palette(codes: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match codes.next()? {
        5 => match codes.next()? {
            code @ 0..=15 => u8::try_from(code).ok(),
            code @ 16..=231 => {
                let code = code - 16;
                let level = |step: u16| if step == 0 { 0 } else { 55 + step * 40 };
                Some(nearest(level(code / 36), level(code / 6 % 6), level(code % 6)))
            }
            code => {
                let grey = 8 + code.saturating_sub(232).min(23) * 10;
                Some(nearest(grey, grey, grey))
            }
        },
        2 => Some(nearest(codes.next()?, codes.next()?, codes.next()?)),
        _ => None,
    }
}

fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let most = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    if most - least < 40 {
        return match most {
            0..=50 => 0,
            51..=140 => 8,
            141..=215 => 7,
            _ => 15,
        };
    }
    let on = |part: u16, bit: u8| if part > u16::midpoint(most, least) { bit } else { 0 };
    on(red, 1) | on(green, 2) | on(blue, 4) | if most > 200 { 8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Vec<(String, String)> {
        spans(line).into_iter().map(|span| (span.class, span.text)).collect()
    }

    fn span(class: &str, text: &str) -> (String, String) {
        (class.to_owned(), text.to_owned())
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(
            shown("a\u{1b}[1;31mred\u{1b}[0m \u{1b}[38;5;196mx\u{1b}[38;2;0;0;250;4my\u{1b}[39;24mz"),
            [
                span("", "a"),
                span("a-bold a-f1", "red"),
                span("", " "),
                span("a-f9", "x"),
                span("a-underline a-f12", "y"),
                span("", "z")
            ]
        );
    }

    #[test]
    fn nothing_else_gets_through() {
        assert_eq!(
            plain("\u{1b}]0;title\u{7}a\u{1b}[2Kb\u{1b}(Bc\u{1b}]8;;http://x\u{1b}\\d\u{0}\u{1b}"),
            "abcd"
        );
        assert_eq!(plain("10%\r50%\r100%"), "100%");
        assert_eq!(plain("<b>\u{1b}[31m</b>"), "<b></b>");
        for hostile in [
            "\u{1b}[",
            "\u{1b}[38;5",
            "\u{1b}[38;2;1",
            "\u{1b}]",
            "\u{1b}[99999999999m",
            "\u{1b}[38;2;999;65535;0mx",
        ] {
            spans(hostile);
        }
    }
}
