"use strict";
// inferno writes where it is zoomed to into the address, which this document has none of.
history.replaceState = function () {};
(function () {
  var graph = document.querySelector("svg");
  // Until the frame is laid out, what inferno asks for the width would be 0, and less in the graph.
  Object.defineProperty(graph, "width", {
    value: { baseVal: { get value() { return Math.max(graph.getBoundingClientRect().width, 100); } } },
  });
  new ResizeObserver(function (sizes, observer) {
    if (graph.getBoundingClientRect().width === 0) return;
    observer.disconnect();
    init();
  }).observe(graph);
  var frames = document.getElementById("frames");
  var boxes = Array.prototype.map.call(frames.querySelectorAll("g"), function (group) {
    var rect = group.querySelector("rect");
    var number = function (name) { return parseFloat(rect.getAttribute(name)); };
    var x = number("fg:x");
    return { group: group, x: x, end: x + number("fg:w"), y: number("y") };
  });
  boxes.sort(function (a, b) { return b.y - a.y || a.x - b.x; });
  boxes.forEach(function (box) {
    box.group.setAttribute("tabindex", "-1");
    // A button would be called by the text that it has room for.
    box.group.setAttribute("role", "img");
    box.group.setAttribute("aria-label", box.group.querySelector("title").textContent);
  });
  // One frame at a time is where the tab key stops; Chromium takes their holder for a scroller.
  frames.setAttribute("tabindex", "-1");
  var current = boxes[0];
  current.group.setAttribute("tabindex", "0");
  function isShown(box) { return !box.group.classList.contains("hide"); }
  function go(box) {
    if (!box) return;
    current.group.setAttribute("tabindex", "-1");
    current = box;
    current.group.setAttribute("tabindex", "0");
    current.group.focus();
  }
  function first(list) { return list.filter(isShown)[0]; }
  function beside(step) {
    var row = boxes.filter(function (box) { return box.y === current.y && isShown(box); });
    return row[row.indexOf(current) + step];
  }
  function inside(box, other) { return box.x >= other.x && box.end <= other.end; }
  var moves = {
    ArrowRight: function () { go(beside(1)); },
    ArrowLeft: function () { go(beside(-1)); },
    ArrowUp: function () {
      go(first(boxes.filter(function (box) { return box.y < current.y && inside(box, current); })));
    },
    ArrowDown: function () {
      var below = boxes.filter(function (box) { return box.y > current.y && inside(current, box); });
      go(first(below.reverse()));
    },
    Enter: function () { click(current.group); },
    " ": function () { click(current.group); },
    Escape: function () { click(document.getElementById("unzoom")); },
  };
  function click(element) { element.dispatchEvent(new MouseEvent("click", { bubbles: true })); }
  document.addEventListener("keydown", function (event) {
    if (!moves[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    moves[event.key]();
  });
  frames.addEventListener("focusin", function (event) {
    event.target.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
  });
})();
