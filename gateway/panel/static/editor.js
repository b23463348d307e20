// What a browser with JavaScript adds to the picture editor: a picture that lives, shapes that are dragged by mouse and finger,
// and a page that follows while one types. Numbers stay the truth: a handle only writes into the fields of its shape.
"use strict";

const LIVE_MS = 500; // between two looks for a newer picture
const SETTLE_MS = 350; // after the last change, before the server draws it again
const REACH_PX = 24; // of a handle, on the screen: a gloved finger
const DOT_PX = 8;

startEditor();

function startEditor() {
  const form = document.getElementById("editor");
  let chosen = "";
  let settling = 0;
  let asked = 0;
  form.classList.add("is-alive");
  form.addEventListener("submit", onSubmit);
  form.addEventListener("input", onInput);
  form.addEventListener("focusin", (event) => choose(event.target.closest("[data-shape]")?.dataset.shape ?? chosen));
  form.addEventListener("pointerdown", onGrab);
  form.addEventListener("touchstart", onTouch, { passive: false });
  addEventListener("resize", () => choose(chosen));
  choose("crop");
  watch();

  // ---- the shapes ----

  function fields(shape) {
    return [...form.querySelectorAll(`[data-shape="${shape}"] > .numbers input`)];
  }

  function choose(shape) {
    chosen = shape.replace("scale-", "points-");
    for (const each of form.querySelectorAll("[data-shape]")) each.classList.toggle("is-chosen", each.dataset.shape === chosen);
    for (const each of form.querySelectorAll("[data-draws]")) each.classList.toggle("is-chosen", each.dataset.draws === chosen);
    form.querySelector(".handles")?.remove();
    const shown = form.querySelector(`[data-draws="${chosen}"]`);
    if (!shown) return;
    const group = draw("g", { class: "handles" });
    corners(numbers(chosen), shown).forEach(([x, y], at) => {
      const handle = draw("g", { class: "handle", "data-corner": at });
      handle.append(draw("circle", { class: "reach", cx: x, cy: y, r: onScreen(REACH_PX) }));
      handle.append(draw("circle", { class: "dot", cx: x, cy: y, r: onScreen(DOT_PX) }));
      group.append(handle);
    });
    plane().append(group);
  }

  // A finger on a shape draws; anywhere else it scrolls the page. (touch-action does not count for every shape of SVG.)
  function onTouch(event) {
    if (event.target.closest(".handle, [data-draws]")) event.preventDefault();
  }

  function onGrab(event) {
    const handle = event.target.closest(".handle");
    const shown = event.target.closest("[data-draws]");
    if (!handle && !shown) return;
    event.preventDefault();
    if (shown) choose(shown.dataset.draws);
    const shape = chosen;
    const corner = handle ? Number(handle.dataset.corner) : -1;
    const before = numbers(shape);
    const from = place(event);
    const svg = document.getElementById("drawing");
    svg.setPointerCapture(event.pointerId);
    svg.onpointermove = (move) => {
      const to = place(move);
      write(shape, moved(shape, before, corner, to.x - from.x, to.y - from.y));
      follow(shape);
    };
    svg.onpointerup = svg.onpointercancel = () => {
      svg.onpointermove = svg.onpointerup = svg.onpointercancel = null;
      settle(0);
    };
  }

  // Return four numbers after a drag; nothing leaves the picture, and nothing turns inside out.
  function moved(shape, [a, b, c, d], corner, dx, dy) {
    const { width, height } = size();
    if (shape.startsWith("points-")) {
      const ends = [a, b, c, d];
      const shift = (at) => {
        ends[at] = clamp([a, b, c, d][at] + (at % 2 ? dy : dx), 0, at % 2 ? height : width);
      };
      (corner === 0 ? [0, 1] : corner === 1 ? [2, 3] : [0, 1, 2, 3]).forEach(shift);
      return ends;
    }
    if (corner < 0) return [clamp(a + dx, 0, width - c), clamp(b + dy, 0, height - d), c, d];
    let [left, top, right, bottom] = [a, b, a + c, b + d];
    if (corner % 2) right = clamp(right + dx, left + 1, width);
    else left = clamp(left + dx, 0, right - 1);
    if (corner > 1) bottom = clamp(bottom + dy, top + 1, height);
    else top = clamp(top + dy, 0, bottom - 1);
    return [left, top, right - left, bottom - top];
  }

  function follow(shape) {
    const shown = form.querySelector(`[data-draws="${shape}"]`);
    const [a, b, c, d] = numbers(shape);
    const names = shown.tagName === "line" ? ["x1", "y1", "x2", "y2"] : ["x", "y", "width", "height"];
    names.forEach((name, at) => shown.setAttribute(name, [a, b, c, d][at]));
    corners([a, b, c, d], shown).forEach(([x, y], at) => {
      for (const dot of form.querySelectorAll(`.handle[data-corner="${at}"] circle`)) {
        dot.setAttribute("cx", x);
        dot.setAttribute("cy", y);
      }
    });
    if (shape === "crop") {
      const { width, height } = size();
      const outside = form.querySelector(".outside");
      outside.setAttribute("d", `M0 0H${width}V${height}H0zM${a} ${b}h${c}v${d}h-${c}z`);
    }
  }

  function corners([a, b, c, d], shown) {
    if (shown.tagName === "line") return [[a, b], [c, d]];
    return [[a, b], [a + c, b], [a, b + d], [a + c, b + d]];
  }

  function numbers(shape) {
    return fields(shape).map((field) => Number(field.value));
  }

  function write(shape, values) {
    fields(shape).forEach((field, at) => {
      field.value = Math.round(values[at]);
    });
  }

  // ---- the server draws ----

  function onInput() {
    settle(SETTLE_MS);
  }

  function settle(after_ms) {
    clearTimeout(settling);
    settling = setTimeout(() => send("look", ["pictures"]), after_ms);
  }

  function onSubmit(event) {
    const does = event.submitter?.value ?? "look";
    if (does === "save") return;
    event.preventDefault();
    send(does, ["pictures", "sheet"]).then(() => {
      const fresh = { mask: ".entry[data-shape^=mask-]", scale: ".entry[data-shape^=scale-]" }[does];
      const last = fresh ? [...form.querySelectorAll(fresh)].at(-1) : form.querySelector('[data-shape="crop"]');
      last?.querySelector("input")?.focus();
    });
  }

  async function send(does, parts) {
    const body = new FormData(form);
    body.set("do", does);
    const number = ++asked;
    try {
      const reply = await fetch(location.href, { method: "POST", body, cache: "no-store" });
      if (reply.redirected) {
        location.reload();
        return;
      }
      if (!reply.ok || number !== asked) return;
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      for (const part of parts) document.getElementById(part).replaceWith(page.getElementById(part));
      choose(chosen);
    } catch {
      settling = setTimeout(() => send(does, parts), 2000);
    }
  }

  // ---- the picture lives ----

  async function watch() {
    for (let look = 0; ; look++) {
      await new Promise((done) => setTimeout(done, LIVE_MS));
      const shown = form.querySelectorAll("#pictures image");
      if (document.hidden || !shown.length) {
        if (!shown.length) settle(LIVE_MS);
        continue;
      }
      const next = new Image();
      next.src = `${form.dataset.whole}?look=${look}`;
      try {
        await next.decode();
      } catch {
        continue;
      }
      for (const image of form.querySelectorAll("#pictures image")) image.setAttribute("href", next.src);
    }
  }

  // ---- small things ----

  function plane() {
    return document.querySelector("#drawing > g");
  }

  function size() {
    const { width, height } = plane().dataset;
    return { width: Number(width), height: Number(height) };
  }

  function place(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(plane().getScreenCTM().inverse());
  }

  function onScreen(px) {
    return px / plane().getScreenCTM().d;
  }

  function draw(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function clamp(value, low, high) {
    return Math.min(Math.max(value, low), high);
  }
}
