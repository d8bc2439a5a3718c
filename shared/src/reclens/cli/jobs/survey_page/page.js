(function () {
  const { survey, places } = JSON.parse(document.getElementById("survey").textContent);
  const groups = Array.from(document.querySelectorAll("fieldset"));
  const rater = document.getElementById("rater");
  const status = document.getElementById("status");
  // For browsers that keep nothing: until the page is closed.
  const memory = new Map();
  let state = saved(stored(lastRaterKey(survey)) ?? "");
  let current = -1;

  function stored(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return memory.get(key) ?? null;
    }
  }

  function saved(name) {
    return restored(stored(storageKey(survey, name)) ?? "null", places);
  }

  function save() {
    const text = JSON.stringify(state);
    memory.set(storageKey(survey, state.rater), text);
    try {
      localStorage.setItem(storageKey(survey, state.rater), text);
      localStorage.setItem(lastRaterKey(survey), state.rater);
    } catch {
      status.textContent = "This browser keeps nothing: download your answers before you close the page.";
    }
  }

  function show() {
    const { done, total } = progress(state, places);
    const bar = document.getElementById("progress");
    bar.max = total;
    bar.value = done;
    document.getElementById("count").textContent = done + " of " + total + " lists answered";
    groups.forEach((group, index) => {
      const value = state.answers[places[index].join(":")];
      group.toggleAttribute("data-answered", value !== undefined);
      for (const input of group.querySelectorAll("input")) input.checked = input.value === value;
    });
  }

  function give(index, value) {
    state = withAnswer(state, places[index], value);
    save();
    show();
  }

  function go(index) {
    current = index;
    groups[index].focus({ preventScroll: true });
    // The first list of a concept comes with the concept's name above it.
    if (places[index][1] === 1) groups[index].closest("section").scrollIntoView({ block: "start" });
    else groups[index].scrollIntoView({ block: "nearest" });
  }

  groups.forEach((group, index) => {
    group.addEventListener("change", (event) => give(index, event.target.value));
    group.addEventListener("focusin", () => (current = index));
    group.addEventListener("click", () => (current = index));
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (keepsItsKeys(event.target.tagName, event.target.type)) return;
    const meaning = meaningOf(event.key, current < 0 ? null : places[current]);
    if (meaning === null) return;
    event.preventDefault();
    if (meaning.answer !== undefined) give(current, meaning.answer);
    go(moved(current, meaning.step ?? 1, groups.length));
  });

  rater.value = state.rater;
  status.textContent = foundMessage(state, places);

  // On leaving the field: a name half written is nobody's.
  rater.addEventListener("change", () => {
    const name = rater.value.trim();
    if (!isRater(name)) return;
    rater.removeAttribute("aria-invalid");
    const before = state.rater;
    const theirs = saved(name);
    const takeAlong =
      mustAskWhose(state, name, theirs) &&
      confirm("Are the answers of " + before + " yours, and is " + name + " your name? Otherwise you begin without any; those of " + before + " are kept.");
    state = underName(state, name, theirs, takeAlong);
    if (before !== "" && before !== name) status.textContent = foundMessage(theirs, places) || "You answer as " + name + ".";
    // Answers without a name now have one, and are not found again as nobody's.
    if (before === "") forget("");
    save();
    show();
  });

  function forget(name) {
    memory.delete(storageKey(survey, name));
    try {
      localStorage.removeItem(storageKey(survey, name));
    } catch {
      // Nothing was kept.
    }
  }

  document.getElementById("start-over").addEventListener("click", () => {
    const whose = state.rater === "" ? "" : " of " + state.rater;
    if (!confirm("Forget all answers" + whose + " to this survey in this browser? This cannot be undone.")) return;
    forget(state.rater);
    state = emptyState();
    forget("");
    rater.value = "";
    current = -1;
    save();
    show();
    status.textContent = "All answers" + whose + " are forgotten.";
  });

  document.getElementById("questions").addEventListener("submit", (event) => event.preventDefault());

  document.getElementById("download").addEventListener("click", () => {
    if (!isRater(rater.value.trim())) {
      status.textContent = "Write your name or initials first: letters, digits, dots, hyphens and underscores.";
      rater.setAttribute("aria-invalid", "true");
      rater.focus();
      return;
    }
    rater.removeAttribute("aria-invalid");
    const link = document.createElement("a");
    link.download = "answers-" + state.rater + ".csv";
    link.href = URL.createObjectURL(new Blob([answersCsv(state, survey, places)], { type: "text/csv" }));
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    status.textContent = "Saved " + link.download + ". Send it to who asked you.";
  });

  show();
})();
