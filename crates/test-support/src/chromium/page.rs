//! A page: what it looks like, what one does on it, and what it did.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::connection::Connection;

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Width of the window in CSS pixels; below 600 it is a phone.
    pub width: u32,
    /// Height of the window in CSS pixels.
    pub height: u32,
    /// The reader prefers a dark page.
    pub dark: bool,
    /// Scripts run.
    pub scripts: bool,
}

impl Default for View {
    /// A window of 1280 by 900 pixels, light, with scripts.
    fn default() -> Self {
        Self {
            width: 1280,
            height: 900,
            dark: false,
            scripts: true,
        }
    }
}

/// A page in a tab of its own.
#[derive(Debug)]
pub struct Page {
    connection: Connection,
    url: String,
    scripts: bool,
}

impl Page {
    pub(super) fn load(connection: Connection, url: &str, view: View) -> Result<Self, String> {
        let mut page = Self {
            connection,
            url: url.to_owned(),
            scripts: view.scripts,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}))?;
        }
        let disabled = json!({"value": !view.scripts});
        page.call("Emulation.setScriptExecutionDisabled", disabled)?;
        page.look(view)?;
        // What the empty page did does not count.
        page.connection.events.clear();
        let answer = page.call("Page.navigate", json!({"url": url}))?;
        if let Some(problem) = answer["errorText"].as_str() {
            return Err(format!("{url}: {problem}"));
        }
        page.connection.wait_for("Page.loadEventFired")?;
        Ok(page)
    }

    /// Changes the window and the preferred colours; whether scripts run is settled when a page is opened.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn look(&mut self, view: View) -> Result<(), String> {
        let size = json!({
            "width": view.width, "height": view.height, "deviceScaleFactor": 1, "mobile": view.width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = if view.dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({"media": "", "features": features}),
        )?;
        Ok(())
    }

    /// The value of an expression, for which a promise is waited; it works where scripts of the page do not run too.
    ///
    /// # Errors
    ///
    /// What was thrown.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let call = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", call)?;
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(format!(
                "{expression}: {}",
                thrown["exception"]["description"]
            )),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// Clicks the middle of the first element that a selector finds, with the mouse.
    ///
    /// # Errors
    ///
    /// There is none, it is not visible, or something covers it.
    pub fn click(&mut self, selector: &str) -> Result<(), String> {
        let quoted = json!(selector);
        let script = format!(
            "(() => {{ const it = document.querySelector({quoted}); if (!it) return null; \
             it.scrollIntoView({{block: 'nearest', behavior: 'instant'}}); const box = it.getClientRects()[0]; if (!box) return null; \
             const x = box.x + box.width / 2, y = box.y + box.height / 2; const top = document.elementFromPoint(x, y); \
             return [x, y, it.contains(top) || it.labels?.length > 0 && [...it.labels].includes(top)]; }})()"
        );
        let place = self.evaluate(&script)?;
        let (Some(x), Some(y)) = (place[0].as_f64(), place[1].as_f64()) else {
            return Err(format!("{selector}: nothing visible to click on"));
        };
        if place[2] != true {
            return Err(format!("{selector}: something covers it at {x}, {y}"));
        }
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event)?;
        }
        self.settle()
    }

    /// Presses a key by its name, as in `KeyboardEvent.key`.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn press(&mut self, key: &str) -> Result<(), String> {
        let code = match key {
            "Backspace" => 8,
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            " " => 32,
            "PageUp" => 33,
            "PageDown" => 34,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            _ if key.chars().count() == 1 => key,
            _ => "",
        };
        let down =
            json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", down)?;
        let up = json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", up)?;
        self.settle()
    }

    /// Types into what has the focus.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn type_text(&mut self, text: &str) -> Result<(), String> {
        self.call("Input.insertText", json!({"text": text}))?;
        self.settle()
    }

    /// Chooses the option of a `<select>` that has this value, as a reader does.
    ///
    /// # Errors
    ///
    /// There is no such element or option.
    pub fn choose(&mut self, selector: &str, value: &str) -> Result<(), String> {
        let (quoted, wanted) = (json!(selector), json!(value));
        let script = format!(
            "(() => {{ const it = document.querySelector({quoted}); it.value = {wanted}; \
             it.dispatchEvent(new Event('input', {{bubbles: true}})); it.dispatchEvent(new Event('change', {{bubbles: true}})); \
             return it.value === {wanted}; }})()"
        );
        match self.evaluate(&script)? == true {
            true => self.settle(),
            false => Err(format!("{selector} has no option {wanted}")),
        }
    }

    /// A picture of what is in the window, as PNG; of the whole page where `whole` is set.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn screenshot(&mut self, whole: bool) -> Result<Vec<u8>, String> {
        let options = json!({"format": "png", "captureBeyondViewport": whole});
        let answer = self.call("Page.captureScreenshot", options)?;
        decoded(&answer)
    }

    /// The page as it is printed, as PDF.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn print(&mut self) -> Result<Vec<u8>, String> {
        let options = json!({"printBackground": true, "preferCSSPageSize": true});
        let answer = self.call("Page.printToPDF", options)?;
        decoded(&answer)
    }

    /// What the page complained about: exceptions, errors and warnings of the console, breaches of its policy.
    pub fn complaints(&mut self) -> Vec<String> {
        // What is on its way has come once a call is answered.
        let _ = self.settle();
        let texts = self.connection.events.iter().filter_map(|event| {
            let event_of = |name: &str| event["method"] == name;
            let about = &event["params"];
            if event_of("Runtime.exceptionThrown") {
                return Some(about["exceptionDetails"].to_string());
            }
            let is_console = event_of("Runtime.consoleAPICalled")
                && matches!(about["type"].as_str(), Some("error" | "warning" | "assert"));
            let is_log = event_of("Log.entryAdded")
                && matches!(about["entry"]["level"].as_str(), Some("error" | "warning"));
            (is_console || is_log).then(|| about.to_string())
        });
        texts.collect()
    }

    /// The addresses that the page asked for, beside its own, whether it was let through or not.
    pub fn requests(&mut self) -> Vec<String> {
        let _ = self.settle();
        let sent = self.connection.events.iter();
        let sent = sent.filter(|event| event["method"] == "Network.requestWillBeSent");
        let urls = sent.filter_map(|event| event["params"]["request"]["url"].as_str());
        urls.filter(|&url| url != self.url)
            .map(str::to_owned)
            .collect()
    }

    /// Waits until the next frame is drawn, so that what was done shows.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn settle(&mut self) -> Result<(), String> {
        let frames = match self.scripts {
            true => "new Promise(done => requestAnimationFrame(() => setTimeout(done)))",
            // Nothing calls back.
            false => "0",
        };
        self.evaluate(frames).map(|_| ())
    }

    /// Calls any method of the protocol.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.connection.call(method, parameters)
    }
}

fn decoded(answer: &Value) -> Result<Vec<u8>, String> {
    let text = answer["data"].as_str().unwrap_or_default();
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| error.to_string())
}
