(function () {
  const { survey, places } = JSON.parse(document.getElementById("survey").textContent);
  const saveKey = "reclens-survey-" + survey;
  const groups = Array.from(document.querySelectorAll("fieldset"));
  const rater = document.getElementById("rater");
  const status = document.getElementById("status");
  let state = restored(load(), places);
  let current = -1;

  function load() {
    try {
      return localStorage.getItem(saveKey) ?? "null";
    } catch {
      return "null";
    }
  }

  function save() {
    try {
      localStorage.setItem(saveKey, JSON.stringify(state));
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
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === rater) return;
    const meaning = meaningOf(event.key, current < 0 ? null : places[current]);
    if (meaning === null) return;
    event.preventDefault();
    if (meaning.answer !== undefined) give(current, meaning.answer);
    go(moved(current, meaning.step ?? 1, groups.length));
  });

  rater.value = state.rater;
  rater.addEventListener("input", () => {
    state = { ...state, rater: rater.value.trim() };
    save();
  });

  document.getElementById("questions").addEventListener("submit", (event) => event.preventDefault());

  document.getElementById("download").addEventListener("click", () => {
    if (!isRater(state.rater)) {
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
