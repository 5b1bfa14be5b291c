//! Files as people have them, and as nobody should: crossed from two tables, written by hand for
//! one oddity each, and generated from a seed.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::support::{ACCESS_TOKEN_KEY, FLAG_KEY, REFRESH_TOKEN_KEY};

/// What begins the names of variables that substitute ours, and so change with them.
pub(crate) const FOLLOWER: &str = "FOLLOWER";

/// How a key of ours may stand in a file; `K` is its name.
const OURS: [&str; 18] = [
    "",
    "K=old",
    "K=",
    "export K=old",
    "  \texport  K=old",
    "K = old",
    "K= 'old' # it's a comment",
    "K='it # is' # c",
    "K=\"old\"",
    "K=\"two\nlines # K=no\n\" # c",
    "K='two\n\nlines'",
    "K=old\nK=older # c",
    "K=<paste the token here>",
    "K=# paste the token here",
    "K=two words",
    "K=$(cat token)",
    "K=`old`",
    "K=a#b",
];

/// What may stand beside it; `K` is the name of our key.
const OTHERS: [&str; 40] = [
    "A=1",
    "",
    "# K=no, it's \"a comment",
    "  # K=no",
    "OLD_K=1\nK_OLD=2\nK.x=3",
    "A=K",
    "A=rotate K weekly",
    "A=x-K=1",
    "A=1 # K=no",
    "A='1' # K=no, it's",
    "A='\nK=no\n'",
    "A=\"\nK=no\n\" # c",
    "A=\"a \\\" K=no\"",
    "export A=1",
    "  export   A='x y'",
    "A = 1",
    "A= x",
    "A=x y z",
    "A=https://h/?a=b&c=d",
    "A=a;b",
    "A=f(x)",
    "A=<you>",
    "A=1 | x",
    "A={\"a\": [1, 2]}",
    "A='{\"a\": \"it\"}'",
    "A=a#b",
    "A=#b",
    "A=$HOME/x:${HOME:-y}",
    "FOLLOWER=\"Bearer ${K}\"",
    "FOLLOWER=$K",
    "A=$(echo 'K=no')",
    "A=`x`",
    "A=C:\\dir\\name",
    "A='C:\\dir'",
    "A=\"tab\\tnl\\n\"",
    "A=é\u{a0}\u{2028}ü",
    "A=(1 2 3)",
    "A: b",
    "NAME_ALONE",
    "A=\"-----BEGIN X-----\nabc/+=\n-----END X-----\n\"",
];

/// One file for each oddity; `K` is the access token's name, `R` the refresh token's, and `F` the
/// flag's, where they stand as a whole word.
const BY_HAND: &[(&str, &str)] = &[
    ("empty", ""),
    ("one line feed", "\n"),
    ("line feeds", "\n\n\n"),
    ("one carriage return", "\r"),
    ("carriage returns", "\r\r\r"),
    ("blanks", "  \t \n"),
    ("blanks at the end", "A=1\n  \t "),
    ("a byte order mark", "\u{feff}"),
    ("a byte order mark and a line feed", "\u{feff}\n"),
    ("a byte order mark and CR LF", "\u{feff}\r\n"),
    ("a byte order mark before ours", "\u{feff}K=old\nR=old\n"),
    ("two byte order marks", "\u{feff}\u{feff}A=1\nK=old\n"),
    ("a byte order mark inside", "A=1\n\u{feff}K=old\n"),
    ("a byte order mark before a comment", "\u{feff}# c\nK=old\n"),
    ("one comment", "# nothing here\n"),
    ("one comment, no line feed", "# nothing here"),
    ("comments", "# a\n#b\n  # c\n\t# d\n"),
    ("comments in CR LF", "# a\r\n#b\r\n"),
    ("ours", "K=old\nR=old\n"),
    ("ours in CR LF", "K=old\r\nR=old\r\n"),
    ("ours, no line feed", "K=old\nR=old"),
    ("ours in CR LF, no line feed", "K=old\r\nR=old"),
    (
        "ours, with the flag",
        "K=old\nR=old\nF=2026-01-01T00:00:00Z\n",
    ),
    (
        "ours, the flag first",
        "F='2026-01-01T00:00:00Z'\nK=old\nR=old\n",
    ),
    ("ours in one line", "K=old R=old\n"),
    ("ours, only the refresh token", "R=old\n"),
    ("only the flag", "F=x"),
    ("only the flag, in CR LF", "F=x\r\n"),
    ("ours commented out", "#K=no\n# R=no\n# export K=no\n"),
    ("ours commented out, and not", "#K=no\nK=old\n#K=no\n"),
    (
        "ours after a comment sign in a value",
        "A=x #K=no\nB=y # K=no\n",
    ),
    ("ours thrice", "K=1\nA=1\nK=2\nB=2\nexport K=3\n"),
    ("ours twice, the second empty", "K=1\nK=\nR=2\n"),
    ("ours twice, one quoted", "K='1'\nR=x\nK=\"2\"\n"),
    (
        "ours twice, the second followed",
        "K=1\nFOLLOWER=$K\nK=2\nFOLLOWER_2=${K}\n",
    ),
    ("ours empty", "K=\nR=\n"),
    ("ours empty, quoted", "K=''\nR=\"\"\n"),
    (
        "ours empty, with a comment",
        "K= # paste it\nR=# paste it\n",
    ),
    ("ours empty, with blanks", "K=   \nR=\t\n"),
    ("ours in lower case", "webex_service_app_access_token=x\n"),
    ("prefixes and suffixes", "OLD_K=1\nK_OLD=2\n_K=3\nK_=4\n"),
    ("dots and dashes about ours", "K.x=1\nx.K=2\nK-x=3\nx-K=4\n"),
    ("keys with dots", "a.b=1\na.b.c=2\nK=old\n"),
    ("keys with dashes", "a-b=1\nK=old\na-b-c='2'\n"),
    ("keys with digits", "1A=1\nA1=2\nK=old\n2=3\n"),
    ("keys in Unicode", "ÄÖ=1\nK=old\nключ=2\n"),
    ("no key", "=1\nK=old\n = 2\n"),
    ("no value", "A\nexport B\nK=old\n"),
    ("ours without a value", "A=1\nK\n"),
    ("ours exported without a value", "K=old\nexport K\n"),
    ("ours unset", "K=old\nunset K\n"),
    ("ours added to", "K=old\nK+=er\n"),
    ("ours by a colon", "K: old\nA=1\n"),
    ("ours quoted as a key", "'K'=old\n"),
    ("ours as an element", "K[0]=old\n"),
    ("ours after another in one line", "export A=1 K=2\n"),
    ("ours before another in one line", "K=2 A=1\n"),
    ("ours after a semicolon", "A=1; K=2\n"),
    ("ours, then a semicolon", "K=2; A=1\n"),
    ("ours after &&", "true && K=2\n"),
    ("ours in a group", "{ K=2; }\n"),
    ("ours in a subshell", "( K=2 )\n"),
    ("ours under a condition", "if true; then\nK=2\nfi\n"),
    ("ours in a function", "f() {\nK=2\n}\n"),
    ("ours in a loop", "for i in 1 2; do K=$i; done\n"),
    ("ours by default", ": ${K:=x}\nA=1\n"),
    ("ours by default in a value", "A=${K:=x}\n"),
    ("ours through another name", "A=1\nprintf -v K x\n"),
    ("ours by read", "read K <<< x\n"),
    ("export", "export A=1\nexport K=old\nexport\tR=old\n"),
    (
        "export and blanks",
        "  export   K  =  old\n\texport R=old\n",
    ),
    ("export is a key", "export=1\nK=old\n"),
    ("exported names", "A=1\nexport A\nK=old\n"),
    ("declare", "declare -x A=1\ndeclare K=old\n"),
    ("set", "SET K=old\nset -o nounset\n"),
    ("blanks about =", "A = 1\nB =2\nC= 3\nK = old\nR =old\n"),
    ("tabs about =", "A\t=\t1\nK\t=\told\n"),
    ("no-break spaces", "A=1\u{a0}\nK=\u{a0}old\nB=\u{a0}2\n"),
    ("a no-break space before ours", "\u{a0}K=old\n"),
    ("a no-break space after our name", "K\u{a0}=old\n"),
    ("wide blanks", "A=\u{3000}1\u{2003}\nK=old\n"),
    ("line separators", "A=1\u{2028}B=2\nK=old\n"),
    ("ours after a line separator", "A=1\u{2028}K=2\n"),
    (
        "ours after a line separator in a comment",
        "# \u{2029}K=2\n",
    ),
    (
        "next line, vertical tab, form feed",
        "A=1\u{85}B=2\nC=3\u{b}D=4\nE=5\u{c}K=6\n",
    ),
    ("zero width", "A=\u{200b}1\nK=\u{200b}old\nR=old\u{200d}\n"),
    ("emoji", "A=🔑 x\nK=old # 🔑\nB='🔑'\n"),
    ("combining", "A=e\u{301}\nK=old # e\u{301}\n"),
    ("control characters", "A=\u{1}\u{7}\u{1b}[0m\nK=old\n"),
    ("file separators", "A=1\u{1c}B=2\u{1d}\nK=old\n"),
    ("single quotes", "A='1'\nB='x # y'\nK='old'\nC='a=b'\n"),
    (
        "double quotes",
        "A=\"1\"\nB=\"x # y\"\nK=\"old\"\nC=\"a=b\"\n",
    ),
    ("backticks", "A=`1`\nB=`x y`\nK=`old`\n"),
    ("backticks over lines", "A=`x\ny`\nK=old\n"),
    ("ours in backticks over lines", "A=`\nK=no\n`\n"),
    ("quotes inside values", "A=it\"s\"\nB=x'y'z\nK=o\"l\"d\n"),
    ("an apostrophe", "A=it's\nK=old\n"),
    ("two apostrophes", "A=it's\nK=old\nB=it's\n"),
    ("an inch", "A=3\"\nK=old\n"),
    (
        "quotes in quotes",
        "A=\"it's\"\nB='say \"x\"'\nK=\"o'l'd\"\n",
    ),
    ("quotes side by side", "A='a'\"b\"c\nK='o'\"l\"d\n"),
    ("text after quotes", "A='a' b\nK='old' er\n"),
    ("a comment at the quote", "A='a'#b\nK='old'#er\n"),
    (
        "comments after quotes",
        "A='a' # b\nB=\"b\"  # c's\nK=\"old\" # \"c\n",
    ),
    ("no closing quote", "A='a\nK=old\n"),
    ("no closing double quote", "A=\"a\nK=old\nB=2\n"),
    ("our quote does not close", "K=\"old\nA=1\n"),
    ("our quote does not close at the end", "A=1\nK='old"),
    (
        "escaped quotes",
        "A=\"a \\\" b\"\nB=\"\\\"\"\nK=\"o\\\"ld\"\n",
    ),
    ("escaped single quotes", "A='a\\'b'\nK=old\n"),
    ("a backslash at a single quote", "A='a\\'\nK=old\n"),
    ("a backslash at a double quote", "A=\"a\\\\\"\nK=old\n"),
    ("the shell's apostrophe", "A='it'\\''s'\nK=old\n"),
    ("the shell's apostrophe in ours", "K='o'\\''ld'\n"),
    (
        "escapes",
        "A=a\\nb\nB=\"a\\nb\\tc\\\\d\"\nC='a\\nb'\nK=o\\ld\n",
    ),
    ("escaped blanks", "A=a\\ b\nK=o\\ ld\n"),
    ("ANSI quotes", "A=$'a\\nb'\nK=$'old'\n"),
    ("a line goes on", "A=a\\\nb\nK=old\n"),
    ("ours after a line that goes on", "A=a\\\nK=old\n"),
    ("ours goes on", "K=ol\\\nd\nA=1\n"),
    ("a line goes on, in CR LF", "A=a\\\r\nK=old\r\n"),
    ("a comment goes on", "# a \\\nK=old\n"),
    (
        "interpolation",
        "H=h\nA=$H\nB=${H}\nC=\"$H/${H}\"\nD='$H'\nK=old\n",
    ),
    (
        "interpolation with defaults",
        "A=${X:-d}\nB=${X-d}\nC=${X:+d}\nD=\"${X:-a b}\"\nK=old\n",
    ),
    ("interpolation in ours", "H=h\nK=$H\nR=${H:-x}\n"),
    ("interpolation in defaults", "A=${X:-${Y:-z}}\nK=old\n"),
    (
        "interpolation of the environment",
        "A=$HOME\nB=${PATH_X}\nK=old\n",
    ),
    (
        "escaped interpolation",
        "A=\\$H\nB=\"\\$H\"\nC=\\${H}\nK=old\n",
    ),
    ("dollars", "A=$\nB=$5\nC=a$\nD='$$'\nK=old\n"),
    (
        "followers",
        "FOLLOWER_1=$K\nFOLLOWER_2=\"${K}\"\nFOLLOWER_3='$K'\nK=old\n",
    ),
    (
        "followers of defaults",
        "FOLLOWER_1=${K:-d}\nFOLLOWER_2=\"${K:-$R}\"\nK=old\nR=old\n",
    ),
    (
        "followers after",
        "K=old\nR=old\nFOLLOWER_1=a${K}b\nFOLLOWER_2=$R-$K\n",
    ),
    (
        "substitution",
        "A=$(x)\nB=\"$(x 'y')\"\nK=$(x)\nC=$((1+2))\n",
    ),
    ("substitution over lines", "A=$(\nx\n)\nK=old\n"),
    (
        "ours in a substitution",
        "A=$(K=no)\nB=\"$(echo K=no)\"\nR=old\n",
    ),
    ("multi-line", "A=\"1\n2\n3\"\nK=old\nB='1\n\n2'\n"),
    ("multi-line ours", "K=\"1\n2\n3\"\nA=1\nR='1\n2' # c\n"),
    ("multi-line in CR LF", "A=\"1\r\n2\r\n3\"\r\nK=old\r\n"),
    ("multi-line ours in CR LF", "K=\"1\r\n2\"\r\nA=1\r\n"),
    (
        "ours inside a multi-line value",
        "A=\"1\nK=no\nR=no\n\"\nB='\nK=no'\n",
    ),
    (
        "ours inside and outside",
        "A=\"1\nK=no\n\"\nK=old\nB='\nexport R=no\n'\n",
    ),
    ("ours inside ours", "K=\"\nR=no\n\"\nR=old\n"),
    (
        "multi-line with quotes inside",
        "A=\"it's\nK=no\n\"\nB='a \"\nK=no\n\"'\n",
    ),
    (
        "multi-line with comment signs",
        "A=\"# x\n# K=no\n\"\nK=old\n",
    ),
    ("multi-line blank lines", "A='\n\n\n'\nK=old\n"),
    (
        "PEM",
        "A=\"-----BEGIN RSA PRIVATE KEY-----\nMIIB+/=\nabc==\n-----END RSA PRIVATE KEY-----\"\nK=old\n",
    ),
    (
        "PEM in one line",
        "A=\"-----BEGIN X-----\\nMIIB+/=\\n-----END X-----\\n\"\nK=old\n",
    ),
    (
        "PEM without quotes",
        "A=-----BEGIN X-----\nMIIB+/=\n-----END X-----\nK=old\n",
    ),
    (
        "PEM as ours",
        "K=\"-----BEGIN X-----\nMIIB+/=\n-----END X-----\n\"\nA=1\n",
    ),
    (
        "JSON",
        "A={\"a\":1,\"b\":[true]}\nB='{\"a\": \"b c\"}'\nK=old\n",
    ),
    (
        "JSON over lines",
        "A='{\n  \"a\": 1,\n  \"K\": \"no\"\n}'\nK=old\n",
    ),
    (
        "JSON over lines without quotes",
        "A={\n  \"a\": 1\n}\nK=old\n",
    ),
    ("JSON as ours", "K={\"ours\":\"x\"}\nR='{\"a\": 1}'\n"),
    ("JSON escaped", "A=\"{\\\"a\\\": \\\"b\\\"}\"\nK=old\n"),
    ("YAML", "A: 1\nB:\n  - x\nK=old\n"),
    ("INI", "[section]\nA=1\nK=old\n; comment\n"),
    ("a here-document", "cat <<END\nA=1\nEND\nK=old\n"),
    ("ours in a here-document", "A=$(cat <<END\nK=no\nEND\n)\n"),
    (
        "text like a here-document",
        "A=<<TO DO>>\nB='<<END'\nK=old\n",
    ),
    ("a here-document of the name", "A<<END\nK=no\nEND\n"),
    ("shell code", "#!/bin/sh\nset -a\nA=1\nK=old\nset +a\n"),
    ("shell code with a test", "[ -n \"$A\" ] && A=1\nK=old\n"),
    ("shell code that ends", "A=1\nreturn\nK=old\n"),
    ("another file", ". ./other\nK=old\n"),
    (
        "shell signs",
        "A=a&b\nB=a|b\nC=a>b\nD=a;b\nE=(a)\nF1=a!b*?[c]\nK=old\n",
    ),
    ("shell signs in ours", "K=a&b\nR=a;b\n"),
    ("a syntax error first", "A=f(x)\nK=old\nB=2\n"),
    ("a syntax error last", "K=old\nB=2\nA=f(x)\n"),
    ("a syntax error between", "K=old\nA=f(x)\nR=old\nB=2\n"),
    ("CR only", "A=1\rK=old\rB=2\r"),
    ("CR only, without ours", "A=1\rB=2\r"),
    ("CR only, in a comment", "# a\rA=1\n"),
    ("CR inside a value", "A=a\rb\nK=old\n"),
    ("CR inside ours", "K=a\rb\nA=1\n"),
    ("CR inside quotes", "A=\"a\rb\"\nK='o\rld'\n"),
    ("CR CR LF", "A=1\r\r\nK=old\r\r\nR=old\r\n"),
    ("LF CR", "A=1\n\rK=old\n\rB=2\n\r"),
    ("CR at the end", "A=1\nK=old\r"),
    ("mixed endings", "A=1\r\nK=old\nB=2\r\nR=old\r\nC=3\n"),
    ("mixed endings, mostly CR LF", "A=1\r\nB=2\r\nC=3\n"),
    ("mixed endings, mostly LF", "A=1\nB=2\nC=3\r\n"),
    (
        "CR LF with comments",
        "A=1 # c\r\nK=old # c\r\nR='old' #\r\n",
    ),
    (
        "CR LF with quotes",
        "A='1'\r\nK='old'\r\nR=\"old\"\r\nB=\"2\"\r\n",
    ),
    ("CR LF with empty values", "A=\r\nK=\r\nR=''\r\n"),
    ("CR LF, no line feed at the end", "A=1\r\nB=2"),
    ("trailing blanks", "A=1  \nB='2' \t\nK=old   \nR='old'\t\n"),
    ("trailing blanks in CR LF", "A=1  \r\nK=old  \r\n"),
    ("trailing blanks at the end", "K=old\nA=1  "),
    ("trailing blanks at our end", "A=1\nK=old  "),
    ("a trailing tab at our end", "A=1\nR='old'\t"),
    ("a backslash at the end", "K=old\nA=1\\"),
    ("a backslash at our end", "A=1\nK=old\\"),
    ("a comment at the end", "A=1\nK=old # c"),
    (
        "comment signs",
        "A=a#b\nB=a #b\nC=#b\nD= #b\nE=\"a#b\"\nK=a#b\nR=#\n",
    ),
    (
        "comment signs, many",
        "K=old ## c # d\nR=old\t#\tc\n### A=1\n",
    ),
    ("equals signs", "A==\nB=a=b==\nK==old=\nR=a=b\n"),
    ("equals signs twice", "K==\nA=1\n"),
    (
        "a URL",
        "A=postgres://u:p@h:5432/d?x=y#z\nK=old\nB=http://h/#K=no\n",
    ),
    (
        "Windows paths",
        "A=C:\\new\\table\nB=\"C:\\\\x\"\nC='C:\\x\\'\nK=old\n",
    ),
    (
        "Windows paths without quotes",
        "A=C:\\new\\table\nB=C:\\x\\\nK=old\n",
    ),
    ("tildes", "A=~\nB=~/x\nK=~\nC=a:~b\n"),
    ("globs", "A=*\nB=?\nK=[a]\n"),
    ("braces", "A={a,b}\nB={1..3}\nK={{ token }}\n"),
    (
        "templates",
        "K={{ token }}\nR=<%= token %>\nA=%TOKEN%\nB=@token@\n",
    ),
    ("history", "A=!x\nB=a!b\nK=!!\n"),
    ("arrays", "A=(1 2 'x y')\nK=old\n"),
    ("an array of ours", "K=(a b)\nA=1\n"),
    ("arithmetic", "A=$((1 + 2))\n((B=1))\nK=old\n"),
    ("parentheses", "A=a (b)\nK=old\n"),
    ("a name twice", "A=1\nA=2\nK=old\nA=3\n"),
    ("the names of others in ours", "A=1\nK=A=1\nB=K=1\n"),
    ("words", "this is no .env at all\nbut it has text\n"),
    ("prose about ours", "Put K here, and R there.\nK=old\n"),
    ("a diff", "<<<<<<< HEAD\nK=1\n=======\nK=2\n>>>>>>> other\n"),
    ("markup", "<env>\n<K>old</K>\n</env>\n"),
    (
        "the example",
        "# The service app\nK=\nR=\n\n# Set when a person has to act\n# F=\n",
    ),
];

/// A file and a name for it that other files do not have.
pub(crate) type Corpus = BTreeMap<String, String>;

/// Every form of our line beside every oddity of others. All of them can be edited.
pub(crate) fn crossed() -> Corpus {
    let mut texts = Corpus::new();
    for (i, ours) in OURS.iter().enumerate() {
        for (j, other) in OTHERS.iter().enumerate() {
            let n = i * OTHERS.len() + j;
            let next = OTHERS[(j + 7 * i + 1) % OTHERS.len()];
            let flag = ["", "\nF='2026-01-01T00:00:00Z'", "\nexport F=x # c"][n % 3];
            let body = match i + n % 2 {
                0 => format!("{other}\n{next}"),
                k if k % 2 == 0 => format!("{other}\n{ours}{flag}\n{next}"),
                _ => format!("{other}\n{next}{flag}\n{ours}"),
            };
            let body = body.replace('K', ACCESS_TOKEN_KEY);
            let body = body.replace("F=", &format!("{FLAG_KEY}="));
            let line_ending = if n % 5 < 2 { "\r\n" } else { "\n" };
            // After a byte order mark, `#` begins no comment for bash.
            let mark = if n.is_multiple_of(11) && !body.starts_with('#') {
                "\u{feff}"
            } else {
                ""
            };
            let last = if n.is_multiple_of(4) { "" } else { "\n" };
            let text = format!("{mark}{body}{last}").replace('\n', line_ending);
            texts.insert(format!("crossed-{n:04}"), text);
        }
    }
    texts
}

/// One file for each oddity, and some that are larger than people write.
pub(crate) fn by_hand() -> Corpus {
    let mut texts: Corpus = BY_HAND
        .iter()
        .map(|(name, text)| (name.replace([' ', '.'], "-"), named(text)))
        .collect();
    let long = "x".repeat(100_000);
    let many: Vec<_> = (0..2_000).map(|n| format!("A{n}='{n}' # c\n")).collect();
    let many = many.concat();
    let glued = format!("X{ACCESS_TOKEN_KEY}=1\n{ACCESS_TOKEN_KEY}X=2\n{ACCESS_TOKEN_KEY}2=3\n");
    texts.insert("glued-names".into(), glued);
    texts.insert("long-line".into(), named(&format!("A={long}\nK=old\n")));
    texts.insert("long-ours".into(), named(&format!("K='{long}' # c\nA=1\n")));
    texts.insert(
        "long-comment".into(),
        named(&format!("# {long} K=no\nK=old\n")),
    );
    texts.insert("many-lines".into(), named(&format!("{many}K=old\n{many}")));
    texts
}

/// A file that `seed` decides on.
pub(crate) fn generated(seed: u64) -> (String, String) {
    let mut rng = Rng::with_seed(seed);
    let mut lines: Vec<String> = (0..rng.usize(0..7)).map(|_| other_line(&mut rng)).collect();
    for key in [ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY, FLAG_KEY] {
        let times = *pick(&mut rng, &[0, 1, 1, 1, 1, 1, 2, 3]);
        for _ in 0..times {
            let line = our_line(&mut rng, key);
            lines.insert(rng.usize(..=lines.len()), line);
        }
    }
    let endings: &[&str] = match rng.u8(..20) {
        0..12 => &["\n"],
        12..16 => &["\r\n"],
        16..19 => &["\n", "\r\n"],
        19 if rng.bool() => &["\r"],
        _ => &["\n", "\r\n", "\r", "\r\r\n"],
    };
    let mut text = String::from(if rng.u8(..20) == 0 { "\u{feff}" } else { "" });
    let count = lines.len();
    for (index, line) in lines.iter().enumerate() {
        let ending = *pick(&mut rng, endings);
        let inner = if rng.bool() { ending } else { "\n" };
        text += &line.replace('\n', inner);
        if index + 1 < count || rng.u8(..5) > 0 {
            text += ending;
        }
    }
    if rng.u8(..15) == 0 {
        text += *pick(&mut rng, &[" ", "\t", "\n\n", " \n", "\\"]);
    }
    // The shell's number is another each time.
    (format!("seed-{seed:08}"), text.replace("$$", "$"))
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

fn our_line(rng: &mut Rng, key: &str) -> String {
    let lead = pick(rng, &["", "", "", "", "export ", "  ", "\texport  "]);
    let equals = pick(
        rng,
        &["=", "=", "=", "=", "=", "=", " = ", "= ", " =", "\t=\t"],
    );
    let comment = pick(
        rng,
        &[
            "", "", "", "", " # c", " # it's", "  # c", "\t#c", " ", " #",
        ],
    );
    let value = match rng.u8(..3) {
        0 => value(rng, false),
        _ => pick(rng, OLD_VALUES).to_string(),
    };
    format!("{lead}{key}{equals}{value}{comment}")
}

fn other_line(rng: &mut Rng) -> String {
    let (k, r) = (ACCESS_TOKEN_KEY, REFRESH_TOKEN_KEY);
    let value_of_it = value(rng, true);
    match rng.u8(..40) {
        0 => String::new(),
        1 => format!("# {k}=no"),
        2 => format!("  #{}", value_of_it.replace('\n', " ")),
        3 => format!("# export {r}='no"),
        4 => format!("OLD_{k}={value_of_it}"),
        5 => format!("{r}_OLD={value_of_it}"),
        6 => format!("{FOLLOWER}_{}=\"x ${{{k}}}\"", rng.u8(..3)),
        7 => format!("{FOLLOWER}_{}=${r}", rng.u8(..3)),
        8 => format!("{FOLLOWER}_{}=${{{k}:-${{{r}}}}}", rng.u8(..3)),
        9 => format!("A=\"\n{k}=no\n\""),
        10 => format!("B='\nexport {r}=no # c\n'  # d"),
        11 => format!("{k}.x={value_of_it}"),
        12 => format!("a.b={value_of_it}"),
        13 => format!("a-b={value_of_it}"),
        14 => pick(rng, ODD_LINES).to_string(),
        _ => {
            let lead = pick(rng, &["", "", "", "", "export ", "  ", "\texport  "]);
            let name = pick(rng, &["A", "B", "C", "D_1", "_E", "lower", "A"]);
            let equals = pick(rng, &["=", "=", "=", "=", " = ", "= ", " =", ": "]);
            let comment = pick(rng, &["", "", "", " # c", " # it's", "  # c", "#c", "  "]);
            format!("{lead}{name}{equals}{value_of_it}{comment}")
        }
    }
}

/// What our keys mostly hold.
const OLD_VALUES: &[&str] = &[
    "",
    "old",
    "Zm9v-_.~+/==",
    "'old'",
    "\"old\"",
    "'o ld'",
    "\"it's # old\"",
    "\"two\nlines\"",
    "<paste it here>",
];

/// What only some of the readers can follow.
const ODD_LINES: &[&str] = &[
    "NAME",
    "export A",
    "some words, it seems",
    "[section]",
    "; c",
    "A=f(x)",
    "A=(1 2)",
    "A=1 B=2",
    "A=1; B=2",
    "A=x &",
    "A=<<TO DO>>",
    "cat <<END",
    // These may take a follower into their value.
    "FOLLOWER_3=x\\",
    "FOLLOWER_3=`x",
    "FOLLOWER_3=\"x",
    "FOLLOWER_3='x",
    "if true; then",
    "}",
    "true && A=1",
    "set -u",
    "A+=1",
    "A[1]=2",
    "\u{a0}A=1",
    "\u{feff}A=1",
    "=x",
    "'A'=1",
];

/// A value, mostly of one quoting; `may_be_long` if it may go over several lines often.
fn value(rng: &mut Rng, may_be_long: bool) -> String {
    let plain = &[
        "",
        "x",
        "old",
        "Zm9v-_.~+/==",
        "1",
        "a.b.c",
        "two words",
        "<paste it>",
        "a#b",
        "#b",
        "https://h/?a=b&c=d#e",
        "C:\\new\\x",
        "{\"a\": [1, \"b c\"]}",
        "{a}",
        "$HOME",
        "${HOME}",
        "${X:-d}",
        "${X:-a b}",
        "a${HOME}b$X",
        "$(x)",
        "`x`",
        "`a b`",
        "a\\nb",
        "a\\ b",
        "\\$X",
        "é\u{a0}ü",
        "\u{a0}x",
        "a;b",
        "a|b",
        "a>b",
        "~",
        "!x",
        "*",
        "it's",
        "3\"",
        "$",
        "a$",
        "%x%",
        "@x",
    ];
    let inside = &[
        "x", " ", "old", "#", " # ", "=", "it", "é", "\u{a0}", "\t", "{", "}", "$HOME", "${X}",
        "${X:-d}", "$(x)", "\\n", "\\t", "\\", "\\\\", "$", "/", ":", ";", "&", "=1", "\u{2028}",
    ];
    let fill = |rng: &mut Rng, more: &[&str]| -> String {
        let mut text = String::new();
        for _ in 0..rng.usize(..5) {
            let from = if rng.u8(..6) == 0 { more } else { inside };
            text += if from.is_empty() {
                "x"
            } else {
                *pick(rng, from)
            };
        }
        if rng.u8(..if may_be_long { 5 } else { 12 }) == 0 {
            text.insert(0, '\n');
            text += "\nl2\n";
        }
        text
    };
    match rng.u8(..20) {
        0..4 => pick(rng, &plain[..8]).to_string(),
        4..10 => pick(rng, plain).to_string(),
        10..13 => format!("'{}'", fill(rng, &["\"", "`", "\\'"])),
        13..17 => format!("\"{}\"", fill(rng, &["'", "\\\"", "`", "\\$"])),
        17 => format!("`{}`", fill(rng, &["'", "\""]).replace('\n', " ")),
        18 => format!("'{}'\"{}\"", fill(rng, &[]), fill(rng, &[])),
        _ => format!("\"-----BEGIN X-----\n{}=\n-----END X-----\n\"", rng.u32(..)),
    }
}

/// Puts our keys in where their letters stand alone.
fn named(text: &str) -> String {
    let mut named = String::new();
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let stands_alone = !before.is_ascii_alphanumeric()
            && !rest.peek().is_some_and(char::is_ascii_alphanumeric);
        let key = match c {
            'K' => ACCESS_TOKEN_KEY,
            'R' => REFRESH_TOKEN_KEY,
            'F' => FLAG_KEY,
            _ => "",
        };
        if key.is_empty() || !stands_alone {
            named.push(c);
        } else {
            named += key;
        }
        before = c;
    }
    named
}
