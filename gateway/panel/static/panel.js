// What a browser with JavaScript adds: a live picture in real time, presses without a reload, keys and pedals anywhere on
// the exam screen, and a worklist that filters while one types. Without it every form still works.
"use strict";

const LOOK_MS = 40; // between two looks for a new live picture
const PULSE_MS = 700; // between two looks at the signal and the captures
const STALE_MS = 2500; // a picture older than this is not called live
const SAID_MS = 4000; // good news leaves the picture again; bad news stays until the next press

const exam = document.querySelector("[data-exam]");
if (exam) startExam();
startFilter();
startPad();
startMenu();
startRenewal();

function startExam() {
  const answer = document.getElementById("answer");
  let heardAt = performance.now();
  let leaving = 0;
  say();
  watch();
  pulse();
  for (const form of document.querySelectorAll("form[data-press]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      press(form);
    });
  }
  document.addEventListener("keydown", onKey);
  document.getElementById("film").addEventListener("submit", onFilm);

  // The picture: asked for again as soon as the last answer is drawn; 304 while nothing changed.
  async function watch() {
    const canvas = document.getElementById("live");
    if (!canvas) return; // an exam of an instrument: the pulse has its values
    const pen = canvas.getContext("2d");
    let tag = "";
    canvas.hidden = false;
    for (;;) {
      const began = performance.now();
      try {
        const reply = await fetch(canvas.dataset.url, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
        if (reply.status === 200) {
          const picture = await createImageBitmap(await reply.blob());
          if (canvas.width !== picture.width || canvas.height !== picture.height) {
            canvas.width = picture.width;
            canvas.height = picture.height;
          }
          pen.drawImage(picture, 0, 0);
          picture.close();
          tag = reply.headers.get("ETag");
        } else if (reply.status !== 304) {
          await pause(reply.status === 204 ? LOOK_MS : PULSE_MS);
        }
      } catch {
        await pause(PULSE_MS);
      }
      await pause(document.hidden ? PULSE_MS : Math.max(0, LOOK_MS - (performance.now() - began)));
    }
  }

  async function pulse() {
    const place = document.getElementById("pulse");
    const film = document.getElementById("film");
    const tags = document.getElementById("tags");
    const waiting = document.getElementById("waiting");
    let shown = "";
    for (;;) {
      try {
        const reply = await fetch(place.dataset.url, { headers: { Accept: "application/json" }, cache: "no-store" });
        if (reply.status === 401 || reply.status === 410) {
          location.reload();
          return;
        }
        if (!reply.ok) throw new Error(String(reply.status));
        const now = await reply.json();
        heardAt = performance.now();
        if (now.pulse !== shown) place.innerHTML = shown = now.pulse;
        tags.innerHTML = now.tags;
        if (waiting.innerHTML.trim() !== now.waiting.trim()) waiting.innerHTML = now.waiting;
        if (now.film_version !== film.dataset.version) await renew(film, now.film_version);
        setRecord(now.record);
      } catch {
        if (performance.now() - heardAt > STALE_MS) {
          shown = "";
          tags.replaceChildren();
          place.replaceChildren(darkness(exam.dataset.lost));
        }
      }
      await pause(PULSE_MS);
    }
  }

  async function press(form) {
    const button = form.querySelector("button");
    const body = new FormData(form);
    body.set("kind", button.value);
    button.classList.add("is-pressed");
    setTimeout(() => button.classList.remove("is-pressed"), 180);
    try {
      const reply = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      if (reply.redirected || !reply.headers.get("Content-Type")?.includes("json")) {
        location.reload();
        return;
      }
      const now = await reply.json();
      say(now.answer);
      if (now.record) setRecord(now.record);
    } catch {
      sayUnsent();
      return;
    }
    renew(document.getElementById("film"), "").catch(() => {}); // the pulse renews it soon, if this did not
  }

  function say(html) {
    clearTimeout(leaving);
    if (html !== undefined) answer.innerHTML = html;
    if (answer.querySelector(".is-safe, .is-moving")) leaving = setTimeout(() => answer.replaceChildren(), SAID_MS);
  }

  function sayUnsent() {
    clearTimeout(leaving);
    answer.replaceChildren(spoken(exam.dataset.unsent));
  }

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const isBusy = event.target.closest("a, button, input, select, textarea, summary");
    const key = event.key === " " ? (isBusy ? "" : "Space") : event.key;
    if (event.repeat && (key === "Space" || event.key === " " || key === "Enter" || /^F\d/.test(key))) {
      event.preventDefault();
      return;
    }
    for (const form of document.querySelectorAll("form[data-press]")) {
      if (key && form.dataset.press.split(" ").includes(key)) {
        event.preventDefault();
        press(form);
      }
    }
  }

  async function onFilm(event) {
    event.preventDefault();
    try {
      const reply = await fetch(event.target.action, {
        method: "POST",
        body: new FormData(event.target),
        headers: { Accept: "application/json" },
      });
      if (!reply.headers.get("Content-Type")?.includes("json")) {
        location.reload();
        return;
      }
      say((await reply.json()).answer);
    } catch {
      sayUnsent();
      return;
    }
    renew(document.getElementById("film"), "").catch(() => {}); // as above
  }

  async function renew(film, version) {
    const reply = await fetch(film.dataset.url, { cache: "no-store" });
    if (!reply.ok) return;
    const focused = film.contains(document.activeElement) ? document.activeElement.id : "";
    film.innerHTML = await reply.text();
    film.dataset.version = version || reply.headers.get("X-Film-Version") || "";
    if (focused) {
      const number = focused.split("-")[1];
      const again =
        document.getElementById(focused) ||
        document.getElementById(`undo-${number}`) ||
        document.getElementById(`discard-${number}`) ||
        document.querySelector(".capture");
      again.focus();
    }
  }

  function setRecord(html) {
    const form = document.getElementById("record");
    if (!form) return;
    const old = form.querySelector("button");
    if (old.outerHTML === html.trim()) return;
    const hadFocus = document.activeElement === old;
    const holder = document.createElement("div");
    holder.innerHTML = html;
    const fresh = holder.querySelector("button");
    if (fresh.value === old.value) return;
    old.replaceWith(fresh);
    if (hadFocus) fresh.focus();
  }
}

function darkness(sentence) {
  const dark = document.createElement("div");
  dark.className = "dark";
  const strong = document.createElement("strong");
  strong.textContent = sentence;
  dark.append(strong);
  return dark;
}

function spoken(sentence) {
  const notice = document.createElement("div");
  notice.className = "notice is-bad";
  const strong = document.createElement("strong");
  strong.textContent = sentence;
  notice.append(strong);
  return notice;
}

function startFilter() {
  const box = document.querySelector("[data-filter]");
  if (!box) return;
  const none = document.getElementById("no-match");
  box.addEventListener("input", () => {
    const words = folded(box.value).split(/\s+/).filter(Boolean);
    let seen = 0;
    for (const row of document.querySelectorAll(`#${box.dataset.filter} [data-words]`)) {
      const text = folded(row.dataset.words);
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) seen += 1;
    }
    for (const more of document.querySelectorAll(`#${box.dataset.filter} details`)) if (words.length) more.open = true;
    if (none) none.hidden = seen > 0 || !words.length;
  });
}

// Case, width and accents do not matter: Müller is found by muller.
function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

function startPad() {
  const field = document.querySelector("[data-pad]");
  if (!field) return;
  const pad = document.createElement("div");
  pad.className = "pad";
  for (const face of ["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0", "⌫"]) {
    if (!face) {
      pad.append(document.createElement("span"));
      continue;
    }
    const key = document.createElement("button");
    key.type = "button";
    key.textContent = face;
    if (face === "⌫") key.setAttribute("aria-label", field.dataset.pad);
    key.addEventListener("click", () => {
      field.value = face === "⌫" ? field.value.slice(0, -1) : field.value + face;
    });
    pad.append(key);
  }
  document.getElementById("pad").append(pad);
}

function startMenu() {
  const menu = document.querySelector("details.menu");
  if (!menu) return;
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}

// Screens that show how things stand are fetched anew now and then; not while somebody is using what is on them.
async function startRenewal() {
  const fresh = document.querySelector("[data-renew]");
  if (!fresh) return;
  for (;;) {
    await pause(Number(fresh.dataset.renew) * 1000);
    if (document.hidden || fresh.contains(document.activeElement)) continue;
    try {
      const reply = await fetch(location.href, { headers: { "X-Asked-By": "page" }, cache: "no-store" });
      if (reply.redirected) location.reload();
      if (!reply.ok) continue;
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      const now = page.querySelector("[data-renew]");
      if (now && now.innerHTML !== fresh.innerHTML) fresh.innerHTML = now.innerHTML;
    } catch {
      continue;
    }
  }
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
