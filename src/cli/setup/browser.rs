//! Waiting for what a person answers in a browser, be it here or pasted from elsewhere.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::typed_lines::TypedLines;
use super::voice::{Left, Voice, reply, tell};
use crate::cli::terminal;
use crate::config::RedirectUri;
use crate::consent::{Authorization, Callback, CallbackError, Listener, Page, Request, pasted};
use crate::manager::Limits;
use crate::token::AuthorizationCode;

/// What the wait ended with.
#[derive(Debug)]
pub(super) enum Answer {
    /// The person has allowed it.
    Code(AuthorizationCode),
    /// The person has refused it.
    Denied,
    /// Webex has refused the request: its error code, and what it says about it.
    Refused(String, Option<String>),
    /// Nobody has answered in time.
    TimedOut,
    /// A signal came.
    Stopped,
}

/// The browsers at the listener after the answer: the one that brought it is kept waiting until it
/// can be told how it all ended, others learn at once that they come late.
#[derive(Debug, Default)]
pub(super) struct Visitor(Option<Reception>);

#[derive(Debug)]
struct Reception {
    end: oneshot::Sender<Page>,
    task: JoinHandle<()>,
}

impl Visitor {
    fn receive(
        listener: Listener,
        bringer: Option<Request>,
        authorization: &Authorization,
    ) -> Self {
        let (end, page) = oneshot::channel();
        let authorization = authorization.clone();
        let task = tokio::spawn(receive(listener, bringer, authorization, page));
        Self(Some(Reception { end, task }))
    }

    /// Shows how it ended, and lets that reach the browser.
    pub(super) async fn leave(self, page: Page) {
        if let Some(reception) = self.0 {
            let _ = reception.end.send(page);
            let _ = reception.task.await;
        }
    }
}

async fn receive(
    mut listener: Listener,
    mut bringer: Option<Request>,
    authorization: Authorization,
    mut end: oneshot::Receiver<Page>,
) {
    let page = loop {
        tokio::select! {
            biased;
            page = &mut end => break page,
            request = listener.next() => match authorization.read(request.query()) {
                Ok(_) => match &mut bringer {
                    // Loaded again while it loads: whoever asked last is still there.
                    Some(bringer) if bringer.query() == request.query() => {
                        std::mem::replace(bringer, request).answer(Page::AlreadyAnswered);
                    }
                    _ => request.answer(Page::AlreadyAnswered),
                },
                Err(error) => request.answer(page_for(error)),
            }
        }
    };
    if let (Some(request), Ok(page)) = (bringer, page) {
        request.answer(page);
    }
    listener.close().await;
}

/// Listens where the redirect URI says, if it names this machine; what stands against it is told.
pub(super) async fn listen(redirect_uri: &RedirectUri, voice: Voice) -> Option<Listener> {
    let Some(loopback) = redirect_uri.loopback() else {
        voice.note(&format!(
            "The redirect URI is not http on this machine: paste the address that the browser ends \
             on.\n  {}",
            redirect_uri.as_str()
        ));
        return None;
    };
    match Listener::bind(&loopback).await {
        Ok(listener) => Some(listener),
        Err(error) => {
            let cause = std::error::Error::source(&error);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            tell(&format!(
                "Cannot wait for the browser here: {error}{cause}. Paste the address that the browser \
                 ends on instead, or end this with Ctrl-C and free the port, or use --device, or \
                 another registered --redirect-uri."
            ));
            None
        }
    }
}

/// Has the person open the address, and waits for what they answer there.
pub(super) async fn wait(
    authorization: &Authorization,
    mut listener: Option<Listener>,
    open: bool,
    timeout: Duration,
    voice: Voice,
    limits: &Limits,
) -> (Answer, Visitor) {
    /// How many strange visits are told of: whoever else is on this machine can make any number.
    const MOST_TOLD: usize = 5;
    tell(&format!(
        "\nOpen this address, sign in as the owner of the service app, and allow what is asked:\n\n\
         {}\n",
        authorization.url()
    ));
    let mut opening = open.then(|| open_browser(authorization.url().to_string()));
    tell(if listener.is_some() {
        "If the browser cannot reach this machine, paste here the address that it ends on. It \
         stays hidden."
    } else {
        "Paste here the address that the browser ends on. It stays hidden."
    });
    // A code is in it.
    terminal::hide_typing();
    let mut lines = TypedLines::listen();
    let mut ignored = 0;
    let deadline = Instant::now() + timeout;
    let mut left = Left::new(deadline);
    voice.interject(&left.words());
    let (answer, request) = loop {
        let callback = tokio::select! {
            biased;
            () = limits.stopped() => break (Answer::Stopped, None),
            request = request_at(&mut listener) => {
                let query = request.query().to_owned();
                match authorization.read(&query) {
                    Ok(callback) => break (answer(callback), Some(request)),
                    Err(error) => {
                        request.answer(page_for(error));
                        ignored += 1;
                        if ignored <= MOST_TOLD {
                            voice.interject(&format!("Ignored: a visit whose address {error}."));
                        }
                        continue;
                    }
                }
            }
            line = lines.next() => match line {
                Some(line) => read_pasted(&line, authorization),
                // Ctrl-D: a good-bye, as at a question.
                None => break (Answer::Stopped, None),
            },
            failure = failed(&mut opening) => Err(format!("Cannot open a browser: {failure}.")),
            () = left.next_minute() => {
                voice.interject(&left.words());
                continue;
            }
            () = tokio::time::sleep_until(deadline) => break (Answer::TimedOut, None),
        };
        match callback {
            Ok(callback) => break (answer(callback), None),
            Err(why) => reply(&why),
        }
    };
    // What was pasted and not sent off is no answer to what comes next.
    terminal::forget_typed();
    terminal::restore();
    voice.note("");
    let visitor = match (listener, &answer) {
        (None, _) => Visitor::default(),
        (Some(listener), Answer::TimedOut | Answer::Stopped) => {
            listener.close().await;
            Visitor::default()
        }
        (Some(listener), _) => Visitor::receive(listener, request, authorization),
    };
    (answer, visitor)
}

fn read_pasted(line: &str, authorization: &Authorization) -> Result<Callback, String> {
    let query = pasted(line).map_err(|error| format!("Not that: {error}."))?;
    let callback = authorization.read(&query);
    callback.map_err(|error| format!("Not that: what was pasted {error}."))
}

fn answer(callback: Callback) -> Answer {
    match callback {
        Callback::Code(code) => Answer::Code(code),
        Callback::Denied => Answer::Denied,
        Callback::Refused { error, description } => Answer::Refused(error, description),
    }
}

fn page_for(error: CallbackError) -> Page {
    match error {
        CallbackError::WrongState => Page::OldLink,
        // What stands behind a `#` stays in the browser.
        CallbackError::NoState => Page::Failed {
            what: "The program finds no answer in this address.".to_owned(),
            next: "If there is a # in the address bar, copy the whole address and paste it into \
                   the terminal. If not, open the address that the terminal shows, and choose \
                   there."
                .to_owned(),
        },
        _ => Page::Failed {
            what: "This address is not a complete answer.".to_owned(),
            next: "Open the address that the terminal shows, and choose there.".to_owned(),
        },
    }
}

async fn request_at(listener: &mut Option<Listener>) -> Request {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

/// Opens the person's browser on a thread of its own: some stay in front until they are closed.
fn open_browser(url: String) -> oneshot::Receiver<String> {
    let (sender, failure) = oneshot::channel();
    thread::spawn(move || {
        let mut options = webbrowser::BrowserOptions::new();
        let options = options.with_suppress_output(true);
        if let Err(error) =
            webbrowser::open_browser_with_options(webbrowser::Browser::Default, &url, options)
        {
            let _ = sender.send(error.to_string());
        }
    });
    failure
}

/// Why the browser could not be opened; never, if it was.
async fn failed(opening: &mut Option<oneshot::Receiver<String>>) -> String {
    if let Some(receiver) = opening {
        let failure = receiver.await;
        *opening = None;
        if let Ok(failure) = failure {
            return failure;
        }
    }
    std::future::pending().await
}
