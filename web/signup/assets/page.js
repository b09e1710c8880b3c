// What pages do beyond what they do without scripts: hand the token of the address's
// fragment on, show a password, copy an address, and have the proof of work done.
"use strict";

(() => {
  const enter = async (form) => {
    let token;
    try {
      token = decodeURIComponent(location.hash.slice(1));
    } catch {
      return;
    }
    if (!token) return;
    form.elements.code.value = token;
    const opening = document.querySelector(".opening");
    form.hidden = true;
    opening.hidden = false;
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: new URLSearchParams({ code: token }), referrerPolicy: "no-referrer", cache: "no-store",
      });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const e of page.querySelectorAll("noscript")) e.remove(); // a parser runs no scripts
      document.title = page.title;
      document.body.replaceWith(page.body);
      start();
    } catch {
      form.hidden = false; // the same by hand
      opening.hidden = true;
    }
  };

  const showPassword = (input) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = "Show";
    button.setAttribute("aria-label", "Show the password");
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const show = input.type === "password";
      input.type = show ? "text" : "password";
      button.textContent = show ? "Hide" : "Show";
      button.setAttribute("aria-pressed", String(show));
    });
    input.form.addEventListener("submit", () => { input.type = "password"; });
    input.after(button);
  };

  const copy = (button) => {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch {
        button.hidden = true;
      }
    });
  };

  const work = (form) => {
    const button = form.querySelector("button[type=submit]");
    const status = form.querySelector(".working");
    const done = () => {
      button.disabled = false;
      status.hidden = true;
    };
    let worker;
    try {
      worker = new Worker(document.body.dataset.worker);
    } catch {
      return; // a question may be there
    }
    button.disabled = true;
    status.hidden = false;
    worker.onmessage = (e) => {
      form.elements["answer-SHA-256"].value = e.data;
      done();
    };
    worker.onerror = done;
    worker.postMessage({ domain: form.dataset.domain, label: form.dataset.work });
  };

  const start = () => {
    for (const e of document.querySelectorAll("input[type=password]")) if (e.form) showPassword(e);
    for (const e of document.querySelectorAll("[data-copy]")) copy(e);
    for (const e of document.querySelectorAll("form[data-work]")) work(e);
    const entry = document.querySelector("form[data-entry]");
    if (entry) enter(entry);
  };

  window.addEventListener("hashchange", () => location.reload());
  start();
})();
