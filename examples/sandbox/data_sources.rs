//! Data sources in every state that an operator meets.

use std::time::Duration;

use serde_json::json;
use webex_sandbox::{DataSourceShape, Sandbox};

const VIRTUAL_AGENT: &str = "5397013b-7920-4ffc-807c-e8a3e0a18f43";
const VIRTUAL_AGENT_OVER_WEBSOCKET: &str = "a38a10b7-43e4-4676-a076-a7d6dce9387d";
const AUDIO_FORKING: &str = "523e1b7f-4693-47bc-b84e-a7b7a505fb0b";
const MEDIA_INTELLIGENCE: &str = "1b2b7077-dbcd-4732-b2f9-296f9168168a";

const DAY: u64 = 24 * 60;
const HOUR: u64 = 60;

/// A data source; its lifetime and its age are in minutes.
struct Example {
    /// Always the same, so that what is copied from a document finds it.
    id: &'static str,
    audience: &'static str,
    subject: &'static str,
    schema: &'static str,
    url: &'static str,
    lifetime: u64,
    age: u64,
    disabled: Option<&'static str>,
}

const EXAMPLES: [Example; 8] = [
    // Fresh.
    Example {
        id: "1d47a2f0-58c3-4b1e-9a6d-7e20c4f3b815",
        audience: "NightLine",
        subject: "callAudioData",
        schema: VIRTUAL_AGENT_OVER_WEBSOCKET,
        url: "wss://night.example.com/agent",
        lifetime: DAY,
        age: 5,
        disabled: None,
    },
    // Its life is nearly over.
    Example {
        id: "3b1f6c0a-9d24-4e7b-8f15-2c60d9a7e431",
        audience: "FrontDesk",
        subject: "callAudioData",
        schema: VIRTUAL_AGENT,
        url: "https://desk.example.com/agent",
        lifetime: DAY,
        age: 23 * HOUR + 15,
        disabled: None,
    },
    // Disabled, and long expired: nothing is to be done about that.
    Example {
        id: "58e9d3b7-1f60-4c8a-b2d4-90a7e5c61f28",
        audience: "Warehouse",
        subject: "callAudioData",
        schema: AUDIO_FORKING,
        url: "https://depot.example.com/fork",
        lifetime: DAY,
        age: 50 * HOUR,
        disabled: Some("The receiver moves to another site"),
    },
    // Expired: Webex has stopped delivering.
    Example {
        id: "7c2e48d5-a693-4f02-8b7e-d15f3a90c264",
        audience: "Billing",
        subject: "callAudioData",
        schema: VIRTUAL_AGENT,
        url: "https://billing.example.com/agent",
        lifetime: DAY,
        age: 27 * HOUR,
        disabled: None,
    },
    // Past half of its life.
    Example {
        id: "94ad07e1-3c5b-4296-a8f3-6b1e20d4c97f",
        audience: "Claims",
        subject: "claimsRecording",
        schema: AUDIO_FORKING,
        url: "https://claims.example.com/fork",
        lifetime: DAY,
        age: 15 * HOUR,
        disabled: None,
    },
    // The same of half a day.
    Example {
        id: "b6f850c9-7e1d-4a34-92b8-f4d36a07e51c",
        audience: "Dispatch",
        subject: "callAudioData",
        schema: VIRTUAL_AGENT_OVER_WEBSOCKET,
        url: "wss://dispatch.example.com/agent",
        lifetime: 12 * HOUR,
        age: 7 * HOUR,
        disabled: None,
    },
    // The minutes that are left do not count: of a short life they are much.
    Example {
        id: "c873e6b2-04af-4d59-8c1e-5a92f7d0b346",
        audience: "Kiosk",
        subject: "lobbyAudio",
        schema: MEDIA_INTELLIGENCE,
        url: "https://kiosk.example.com/media",
        lifetime: HOUR,
        age: 25,
        disabled: None,
    },
    // A short life that has just ended.
    Example {
        id: "e05d91a4-b827-4c63-9f40-83c7e2d61ab5",
        audience: "Survey",
        subject: "surveyAnswers",
        schema: MEDIA_INTELLIGENCE,
        url: "https://survey.example.com/media",
        lifetime: HOUR,
        age: HOUR + 5,
        disabled: None,
    },
];

/// Registers them all, as if each had been dealt with some time ago.
pub(crate) fn populate(sandbox: &Sandbox) {
    sandbox.set_policy(|policy| policy.data_source_shape = DataSourceShape::Full);
    for example in &EXAMPLES {
        let body = json!({
            "audience": example.audience,
            "subject": example.subject,
            "nonce": "issued-before-this-began",
            "schemaId": example.schema,
            "url": example.url,
            "tokenLifetimeMinutes": example.lifetime,
        });
        sandbox.register_data_source_as(example.id, &body);
        if let Some(message) = example.disabled {
            sandbox.disable_data_source(example.id, message);
        }
        sandbox.age_data_source(example.id, Duration::from_secs(example.age * 60));
    }
}
