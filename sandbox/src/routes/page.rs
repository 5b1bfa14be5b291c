//! The pages that people see: sign in, consent, verify a device, a message.
//!
//! Plain forms, no script, readable on a phone.

/// The sign-in form. Any password will do.
pub(super) fn sign_in(request: &str, email: &str) -> String {
    let request = escaped(request);
    let email = escaped(email);
    layout(
        "Sign in",
        &format!(
            r#"<form method="post" action="/v1/authorize/sign-in">
<input type="hidden" name="request" value="{request}">
<label for="email">Email address</label>
<input id="email" name="email" type="email" autocomplete="username" value="{email}" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password">
<p class="note">This is a sandbox: any password will do.</p>
<div class="buttons"><button id="sign-in" type="submit">Sign in</button></div>
</form>"#
        ),
    )
}

/// The consent form: who is asked for what.
pub(super) fn consent(request: &str, email: &str, scopes: &[String]) -> String {
    let items: Vec<String> = scopes
        .iter()
        .map(|scope| format!("<li><code>{}</code></li>", escaped(scope)))
        .collect();
    let items = items.join("\n");
    layout(
        "Grant permission",
        &format!(
            r#"<p>The integration asks to act for <strong>{email}</strong> with these scopes:</p>
<ul>
{items}
</ul>
<form method="post" action="/v1/authorize/decision">
<input type="hidden" name="request" value="{request}">
<div class="buttons">
<button id="allow" name="decision" value="allow" type="submit">Allow</button>
<button id="deny" name="decision" value="deny" type="submit" class="quiet">Deny</button>
</div>
</form>"#,
            email = escaped(email),
            request = escaped(request),
        ),
    )
}

/// The form for the user code of the device grant.
pub(super) fn verify(user_code: &str) -> String {
    layout(
        "Connect a device",
        &format!(
            r#"<form method="post" action="/verify">
<label for="user_code">Code shown by the device</label>
<input id="user_code" name="user_code" inputmode="numeric" autocomplete="off" value="{}" required>
<div class="buttons">
<button id="allow" name="decision" value="allow" type="submit">Allow</button>
<button id="deny" name="decision" value="deny" type="submit" class="quiet">Deny</button>
</div>
</form>"#,
            escaped(user_code)
        ),
    )
}

/// A page that only says something.
pub(super) fn message(title: &str, text: &str) -> String {
    layout(title, &format!("<p>{}</p>", escaped(text)))
}

fn layout(title: &str, content: &str) -> String {
    let title = escaped(title);
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - Webex sandbox</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif;
  --blue: light-dark(#07638a, #5cc0ee); --muted: light-dark(#5c5c5c, #b0b0b0); }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; }}
main {{ box-sizing: border-box; width: min(26rem, 100%); padding: 2rem 1.5rem; }}
h1 {{ font-size: 1.4rem; line-height: 1.25; margin: 0 0 1rem; }}
label {{ display: block; margin: 0.75rem 0 0.25rem; }}
input {{ box-sizing: border-box; width: 100%; padding: 0.6rem; font: inherit;
  border: 1px solid var(--muted); border-radius: 0.4rem; }}
strong, code {{ overflow-wrap: anywhere; }}
.where {{ color: var(--muted); font-size: 0.875rem; margin: 0; }}
.note {{ color: var(--muted); margin: 0.5rem 0 0; }}
.buttons {{ display: flex; gap: 0.75rem; margin-top: 1.25rem; }}
button {{ flex: 1; padding: 0.7rem; font: inherit; border: 1px solid var(--blue);
  border-radius: 0.4rem; background: var(--blue); color: Canvas; cursor: pointer; }}
button.quiet {{ background: transparent; color: inherit; }}
@media (max-width: 30rem) {{ body {{ place-items: start center; }} }}
</style>
</head>
<body><main>
<p class="where">Webex sandbox</p>
<h1>{title}</h1>
{content}
</main></body>
</html>
"#
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
