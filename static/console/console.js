/* Charts and the renewing part of the start page. No inline script anywhere: the page names what it wants in data attributes. */
"use strict";

(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const EMPTY_HEIGHT = 220;

  /* Hours and minutes on 24 hours, and the day where it begins. */
  function clock(_plot, splits, _axis, _space, step) {
    return splits.map((seconds, i) => {
      const at = new Date(seconds * 1000);
      const day = at.toLocaleDateString(undefined, { month: "short", day: "numeric" });
      const second = step < 60 ? { second: "2-digit" } : {};
      const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...second, hourCycle: "h23" });
      const newDay = i > 0 && at.getDate() !== new Date(splits[i - 1] * 1000).getDate();
      return step >= 86400 ? day : newDay ? `${time}\n${day}` : time;
    });
  }

  function axes(kind, label) {
    const quiet = colour("--c-quiet") || "#6b7280";
    const line = { stroke: colour("--c-line") || "#e5e7eb", width: 1 };
    const font = "11px Inter, sans-serif";
    return [
      {
        stroke: quiet,
        grid: { show: false },
        ticks: line,
        font,
        space: 64,
        label: label || undefined,
        labelFont: font,
        labelSize: 20,
        values: kind === "time" ? clock : undefined,
      },
      {
        stroke: quiet,
        grid: line,
        ticks: { show: false },
        font,
        size: 52,
        values: (_plot, splits) => splits.map((n) => (Number.isInteger(n) ? n.toLocaleString() : "")),
      },
    ];
  }

  function options(place, kind, step, n) {
    const stroke = colour("--color-primary-500") || "#3b82f6";
    const many = n > 90;
    const paths = many ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.bars({ size: [0.8, 40], align: kind === "time" ? 1 : 0 });
    const fill = many ? `color-mix(in srgb, ${stroke} 22%, transparent)` : stroke;
    return {
      width: place.clientWidth,
      height: place.clientHeight || EMPTY_HEIGHT,
      padding: [10, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false } },
      scales: { x: { time: kind === "time" }, y: { range: (_plot, _low, high) => [0, Math.max(high, 4) * 1.08] } },
      axes: axes(kind, place.dataset.axis),
      series: [{}, { label: place.dataset.label, stroke, fill, width: many ? 1.5 : 0, paths, points: { show: false } }],
      hooks: { setCursor: [(plot) => tell(place, plot, kind, step)] },
    };
  }

  /* What the pointer is over, as the chart's title: no legend below it that moves the page. */
  function tell(place, plot, kind, step) {
    const at = plot.cursor.idx;
    if (at === null || at === undefined) {
      place.removeAttribute("title");
      return;
    }
    const n = (plot.data[1][at] || 0).toLocaleString();
    const where = kind === "time" ? new Date(plot.data[0][at] * 1000).toLocaleString() : place.names[at];
    place.title = `${where}${kind === "time" && step ? ` + ${step} s` : ""}: ${n} ${place.dataset.label}`;
  }

  /* Lines over days (x: Unix seconds, written in UTC) or over numbered days: what a ramp allows, and what came of it. */
  function drawLines(place, answer) {
    const names = Object.keys(answer.lines);
    if (!answer.x.length) {
      return;
    }
    if (place.plot) {
      place.plot.destroy();
    }
    const named = { allowed: "--color-primary-500", planned: "--c-uncertain", sent: "--c-sent" };
    const others = ["--c-sent", "--c-working", "--c-suppressed", "--c-deferred", "--c-failed", "--c-cancelled"];
    const strokes = names.map((name) => colour(named[name] || others.shift() || "--c-quiet") || "#3b82f6");
    const labels = JSON.parse(place.dataset.labels);
    const days = place.dataset.days === "numbers" ? undefined : dates;
    const step = uPlot.paths.stepped({ align: 1 });
    const bars = uPlot.paths.bars({ size: [0.6, 28] });
    const line = (name, i) => ({
      label: labels[name],
      stroke: strokes[i],
      fill: name === "sent" ? `color-mix(in srgb, ${strokes[i]} 45%, transparent)` : undefined,
      width: name === "sent" ? 0 : 2,
      dash: name === "planned" ? [5, 4] : undefined,
      paths: name === "sent" ? bars : name === "allowed" ? step : undefined,
      points: { show: name === "planned" && answer.x.length < 3 },
    });
    const [across, up] = axes("lines", place.dataset.axis);
    place.plot = new uPlot(
      {
        width: place.clientWidth,
        height: EMPTY_HEIGHT,
        padding: [10, 18, 0, 0],
        legend: { show: true, live: false },
        cursor: { y: false, points: { show: false } },
        scales: { x: { time: false }, y: { range: (_plot, _low, high) => [0, Math.max(high, 4) * 1.08] } },
        axes: [{ ...across, values: days, incrs: days && [86400, 2 * 86400, 7 * 86400, 14 * 86400, 28 * 86400] }, up],
        series: [{}, ...names.map(line)],
      },
      [answer.x, ...names.map((name) => answer.lines[name])],
      place,
    );
  }

  function dates(_plot, splits) {
    const form = { month: "short", day: "numeric", timeZone: "UTC" };
    return splits.map((seconds) => new Date(seconds * 1000).toLocaleDateString(undefined, form));
  }

  function draw(place, answer) {
    if (answer.lines) {
      drawLines(place, answer);
      return;
    }
    const kind = place.dataset.chart;
    const y = kind === "time" ? answer.sent : answer.shares;
    const x = kind === "time" ? answer.times : y.map((_n, i) => i + 1);
    place.names = answer.mailboxes || [];
    if (!x.length) {
      return;
    }
    if (place.plot && place.step === answer.step && place.points === x.length && place.width === place.clientWidth) {
      place.plot.setData([x, y]);
      return;
    }
    if (place.plot) {
      place.plot.destroy();
    }
    place.step = answer.step;
    place.points = x.length;
    place.width = place.clientWidth;
    place.plot = new uPlot(options(place, kind, answer.step, x.length), [x, y], place);
  }

  async function renew(place) {
    if (document.hidden && place.plot) {
      return;
    }
    try {
      const answer = await fetch(place.dataset.url, { headers: { Accept: "application/json" }, redirect: "error" });
      if (answer.ok) {
        place.answer = await answer.json();
        draw(place, place.answer);
      }
    } catch (_error) {
      /* The next round tries again; the rest of the page says that the connection is gone. */
    }
  }

  function start(place) {
    renew(place);
    setInterval(() => renew(place), 1000 * Number(place.dataset.every || 10));
  }

  function chooseRange(event) {
    const button = event.target.closest("[data-chart-ranges] button");
    if (!button) {
      return;
    }
    const nav = button.closest("[data-chart-ranges]");
    nav.querySelectorAll("button").forEach((other) => other.classList.toggle("is-on", other === button));
    const place = document.getElementById(nav.dataset.chartRanges);
    place.dataset.url = button.dataset.url;
    renew(place);
  }

  /* Buttons that put the text of another element on the clipboard. */
  async function copy(event) {
    const button = event.target.closest("[data-copy]");
    if (!button) {
      return;
    }
    const text = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(text.textContent.trim());
      button.textContent = button.dataset.copied;
    } catch (_error) {
      getSelection().selectAllChildren(text); /* plain http has no clipboard: the text is marked to be copied by hand */
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.addEventListener("click", copy);
    const places = document.querySelectorAll("[data-chart]");
    places.forEach(start);
    document.addEventListener("click", chooseRange);
    const redraw = () => places.forEach((place) => place.answer && ((place.width = 0), draw(place, place.answer)));
    let waiting;
    window.addEventListener("resize", () => {
      clearTimeout(waiting);
      waiting = setTimeout(redraw, 150);
    });
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["class"] });

    const live = document.getElementById("live");
    if (live) {
      const stale = (on) => live.classList.toggle("is-stale", on);
      document.body.addEventListener("htmx:beforeSwap", (event) => {
        if (event.detail.target === live && !event.detail.xhr.responseURL.includes(live.getAttribute("hx-get"))) {
          event.detail.shouldSwap = false; // signed out: the answer is the sign-in page
          window.location.reload();
        }
      });
      document.body.addEventListener("htmx:afterSwap", () => stale(false));
      document.body.addEventListener("htmx:responseError", () => stale(true));
      document.body.addEventListener("htmx:sendError", () => stale(true));
    }
  });
})();
