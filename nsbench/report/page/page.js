"use strict";

// The legend: a button hides its series in the charts of its section.
for (const button of document.querySelectorAll(".keys button")) {
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    for (const mark of button.closest("section").querySelectorAll(`svg .${button.dataset.series}`)) {
      mark.style.display = shown ? "" : "none";
    }
  });
}

// Tables with a row a simulator are sorted by a click on a heading; anchors and null models stay below.
for (const table of document.querySelectorAll("table.down")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.sorted !== "up";
    heads.forEach((other) => delete other.dataset.sorted);
    head.dataset.sorted = down ? "up" : "down";
    const key = (row) => {
      const text = row.cells[column].firstChild?.textContent ?? "";
      const number = Number(text.replaceAll(",", "").replace(/([\d.])([MGT])$/, (_, d, s) => d + { M: "e6", G: "e9", T: "e12" }[s]));
      return text !== "" && !Number.isNaN(number) ? number : text;
    };
    const order = (a, b) => {
      const [p, q] = [key(a), key(b)];
      if (typeof p !== typeof q) return typeof p === "number" ? -1 : 1;
      return (p < q ? -1 : p > q ? 1 : 0) * (down ? 1 : -1);
    };
    const rows = [...table.tBodies[0].rows];
    const simulators = rows.filter((row) => !row.classList.contains("apart")).sort(order);
    table.tBodies[0].append(...simulators, ...rows.filter((row) => row.classList.contains("apart")));
  }));
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

// A gallery: every panel shows the same frame; a trajectory that has ended keeps its last one.
async function play(gallery) {
  const data = JSON.parse(gallery.querySelector("script").textContent);
  const places = await unpacked(data.map).then((b) => (data.wide ? new Uint32Array(b) : new Uint16Array(b)));
  const canvases = [...gallery.querySelectorAll(".panels canvas")];
  const panels = await Promise.all(data.titles.flatMap((_, c) => data.rows.map((row) => row.panels[c])).map(unpacked));
  const values = panels.map((buffer) => new Uint8Array(buffer));
  const slider = gallery.querySelector("input"), output = gallery.querySelector("output");
  const button = gallery.querySelector("button"), last = data.frames.length - 1, levels = data.colours.length - 1;
  const empty = [22, 31, 50];

  function colour(panel, site, t) {
    if (data.kind === "labels") return data.colours[panel[t * data.sites + site]];
    if (data.kind === "fields") return data.colours[Math.round((panel[t * data.sites + site] / 255) * levels)];
    const arrival = panel[site];
    if (arrival > t) return empty;
    const settled = Math.floor((arrival * (levels + 1) * 0.75) / Math.max(data.span, 1));
    return data.colours[Math.min(Math.max(settled, levels - (t - arrival) * 4), levels)];
  }

  function draw(t) {
    canvases.forEach((canvas, k) => {
      const context = canvas.getContext("2d"), image = context.createImageData(data.width, data.height);
      const colours = Array.from({ length: data.sites }, (_, site) => colour(values[k], site, t));
      for (let pixel = 0; pixel < places.length; pixel++) {
        if (!places[pixel]) continue;
        image.data.set(colours[places[pixel] - 1], 4 * pixel);
        image.data[4 * pixel + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    });
    output.textContent = `frame ${data.frames[t]} of ${data.frames[last]}`;
  }

  for (const bar of gallery.querySelectorAll(".ends canvas")) {
    const context = bar.getContext("2d"), image = context.createImageData(bar.width, 1);
    data.colours.forEach((colour, k) => image.data.set([...colour, 255], 4 * k));
    context.putImageData(image, 0, 0);
  }

  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "play";
  }
  button.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(slider.value) === last) slider.value = 0;
    button.textContent = "pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      draw(Number(slider.value));
      if (Number(slider.value) >= last) stop();
    }, Math.max(40, Math.min(250, 4000 / (last + 1))));
  });
  slider.addEventListener("input", () => draw(Number(slider.value)));
  draw(last);
  gallery.dataset.ready = "yes";
}

document.querySelectorAll(".gallery").forEach(play);
