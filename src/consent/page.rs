//! The pages that a person lands on in the browser. Pure.
//!
//! They hold no script and nothing from elsewhere, and nothing of what the browser sent: a page
//! that repeats a query can be made to say anything.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// How a visit ended, for the person at the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// It is allowed, and what was to be done with it is done.
    Success,
    /// The person has refused it.
    Denied,
    /// The visit belongs to another request, which is over.
    OldLink,
    /// It did not work.
    Failed {
        /// What happened: a sentence.
        what: String,
        /// What to do now: a sentence or two. What stands in backticks is set as code, in both.
        next: String,
    },
    /// The request has already been answered.
    AlreadyAnswered,
}

/// Readable at any width, in light and in dark, with whatever fonts there are.
const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1f24;--quiet:#57606a;--page:#f5f6f8;--card:#fff;--line:#d5d9de;\
--good:#1a7f37;--bad:#cf222e;--info:#0969da}\
@media(prefers-color-scheme:dark){:root{--text:#e8eaed;--quiet:#a6adb5;--page:#121417;--card:#1c1f24;\
--line:#343a41;--good:#57c26b;--bad:#ff7b72;--info:#6cb6ff}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;min-height:100dvh;display:flex;align-items:center;\
justify-content:center;padding:16px;background:var(--page);color:var(--text);\
font:17px/1.5 system-ui,sans-serif}\
main{width:100%;max-width:34rem;padding:32px 28px;background:var(--card);border:1px solid var(--line);\
border-radius:14px;overflow-wrap:anywhere}\
svg{display:block;width:44px;height:44px;margin:0 0 20px;fill:none;stroke:currentColor;\
stroke-width:1.7;stroke-linecap:round;stroke-linejoin:round}\
.good{color:var(--good)}.bad{color:var(--bad)}.info{color:var(--info)}.quiet{color:var(--quiet)}\
h1{margin:0 0 12px;font-size:1.55rem;line-height:1.25}\
p{margin:0 0 10px}\
p:last-child{margin:0}\
code{font:.92em ui-monospace,monospace}\
.who{margin:0 0 2px;font-size:.85rem;color:var(--quiet)}\
.details{margin:20px 0 0;padding:16px 0 0;border-top:1px solid var(--line);font-size:.88rem;\
color:var(--quiet)}\
.details h2{margin:0 0 4px;font-size:inherit;color:var(--text)}";

/// The sign above the title. Each has a shape of its own: color alone says nothing.
#[derive(Clone, Copy)]
enum Sign {
    Tick,
    Dash,
    Note,
    Alarm,
}

impl Sign {
    fn svg(self) -> String {
        let (class, strokes) = match self {
            Self::Tick => ("good", "M7.5 12.5l3 3 6-6.5"),
            Self::Dash => ("quiet", "M8 12h8"),
            Self::Note => ("info", "M12 11v5.5M12 7.6v.01"),
            Self::Alarm => ("bad", "M12 7v6.2M12 16.5v.01"),
        };
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 24 24\" aria-hidden=\"true\">\
             <circle cx=\"12\" cy=\"12\" r=\"10\"/><path d=\"{strokes}\"/></svg>"
        )
    }
}

impl Page {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Success | Self::Denied => 200,
            Self::OldLink => 400,
            Self::AlreadyAnswered => 409,
            Self::Failed { .. } => 500,
        }
    }

    /// The page, whole.
    #[must_use]
    pub fn html(&self) -> String {
        let (sign, title, body) = self.content();
        let sign = sign.svg();
        format!(
            "<!doctype html>\n\
             <html lang=\"en\">\n\
             <head>\n\
             <meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} – webex-tokens</title>\n\
             <style>{STYLE}</style>\n\
             </head>\n\
             <body>\n\
             <main>\n\
             {sign}\n\
             <p class=\"who\">webex-tokens</p>\n\
             <h1>{title}</h1>\n\
             {body}\n\
             </main>\n\
             </body>\n\
             </html>\n"
        )
    }

    /// The sign, the title, and what is below them.
    fn content(&self) -> (Sign, &'static str, String) {
        let (sign, title, what, next) = match self {
            Self::Success => (
                Sign::Tick,
                "Authorized",
                "Webex has granted access, and the new tokens are saved.",
                "You can close this page and go back to where you started.",
            ),
            Self::Denied => (
                Sign::Dash,
                "Access was not given",
                "Webex reports that the request was declined, so nothing has been changed.",
                "If that was a slip, start again where you came from, and allow it.",
            ),
            Self::OldLink => (
                Sign::Note,
                "This link is not current",
                "It belongs to another attempt, so it has been ignored.",
                "Use the most recent link: the program shows it while it waits.",
            ),
            Self::AlreadyAnswered => (
                Sign::Note,
                "Already answered",
                "This request has had its answer, and a second one changes nothing.",
                "You can close this page and go back to where you started.",
            ),
            // What to do comes first: what happened is long, and of use to few.
            Self::Failed { what, next } => {
                let (what, next) = (marked_up(what), marked_up(next));
                let details = format!("<h2>What happened</h2>\n<p>{what}</p>");
                let body = format!("<p>{next}</p>\n<div class=\"details\">\n{details}\n</div>");
                return (Sign::Alarm, "That did not work", body);
            }
        };
        let body = format!("<p>{what}</p>\n<p class=\"quiet\">{next}</p>");
        (sign, title, body)
    }
}

/// The `Content-Security-Policy` of every page: nothing but the one style in it.
pub(super) fn content_security_policy() -> String {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// The text as HTML, with what stands in backticks set as code.
fn marked_up(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, (code, after))) = rest
        .split_once('`')
        .and_then(|(before, rest)| Some((before, rest.split_once('`')?)))
    {
        html.extend([&*escaped(before), "<code>", &escaped(code), "</code>"]);
        rest = after;
    }
    html + &escaped(rest)
}

/// The text, as HTML shows it.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(text: &str) -> Page {
        Page::Failed {
            what: text.to_owned(),
            next: text.to_owned(),
        }
    }

    fn pages() -> [Page; 5] {
        [
            Page::Success,
            Page::Denied,
            Page::OldLink,
            failed("a"),
            Page::AlreadyAnswered,
        ]
    }

    #[test]
    fn every_page_stands_alone_and_says_what_it_is() {
        let mut titles = std::collections::HashSet::new();
        for page in pages() {
            let html = page.html();
            for part in [
                "<!doctype html>",
                "<html lang=\"en\">",
                "<meta charset=\"utf-8\">",
                "<meta name=\"viewport\"",
                "prefers-color-scheme:dark",
            ] {
                assert!(html.contains(part), "{page:?} lacks {part}");
            }
            let tags = html.split('<').filter_map(|tag| tag.split('>').next());
            let markup = tags.collect::<Vec<_>>().join("\n") + STYLE;
            for part in [
                "script", "http", "//", "src=", "href=", "url(", "@import", " on",
            ] {
                assert!(!markup.contains(part), "{page:?} has {part}");
            }
            let title = html
                .split("<title>")
                .nth(1)
                .and_then(|rest| rest.split('<').next());
            assert!(titles.insert(title.map(str::to_owned)), "{page:?}");
            assert!((200..600).contains(&page.status()));
        }
    }

    #[test]
    fn the_policy_allows_exactly_the_style_that_is_sent() {
        let html = failed("a").html();
        let style = html.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        assert!(content_security_policy().contains(&format!("style-src 'sha256-{hash}';")));
        assert_eq!(html.matches("<style").count(), 1);
        assert_eq!(html.matches("style=").count(), 0);
    }

    #[test]
    fn a_text_cannot_become_markup() {
        let html = failed("<script>alert('1')</script> & \"more\"").html();
        assert!(!html.contains("<script"));
        assert_eq!(
            html.matches("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;more&quot;")
                .count(),
            2
        );
    }
    #[test]
    fn backticks_make_code_and_nothing_else() {
        let table = [
            (
                "run `a` or `b<`",
                "run <code>a</code> or <code>b&lt;</code>",
            ),
            ("`", "`"),
            ("a `b` c `<d>", "a <code>b</code> c `&lt;d&gt;"),
            ("", ""),
        ];
        for (text, html) in table {
            assert_eq!(marked_up(text), html);
        }
    }
}
