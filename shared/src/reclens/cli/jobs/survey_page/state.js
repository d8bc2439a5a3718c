"use strict";
// Pure functions over {rater, answers}: no page, so that they can be tested alone.
// A place is [question, case]; case is a number, or "label" for how clear the label is.

const VERDICTS = ["yes", "no", "cannot tell"];
const VERDICT_KEYS = new Map([["y", "yes"], ["n", "no"], ["?", "cannot tell"]]);
const STEPS = new Map([["j", 1], ["ArrowDown", 1], ["k", -1], ["ArrowUp", -1]]);
const RATER = /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/;

function placeKey(place) {
  return place.join(":");
}

function isAllowed(place, value) {
  return place[1] === "label" ? ["1", "2", "3", "4", "5"].includes(value) : VERDICTS.includes(value);
}

function emptyState() {
  return { rater: "", answers: {} };
}

function withAnswer(state, place, value) {
  if (!isAllowed(place, value)) return state;
  return { ...state, answers: { ...state.answers, [placeKey(place)]: value } };
}

// What was saved, less whatever is no answer to this survey.
function restored(text, places) {
  let saved;
  try {
    saved = JSON.parse(text);
  } catch {
    return emptyState();
  }
  let state = emptyState();
  if (saved === null || typeof saved !== "object") return state;
  if (typeof saved.rater === "string" && isRater(saved.rater)) state.rater = saved.rater;
  const answers = saved.answers !== null && typeof saved.answers === "object" ? saved.answers : {};
  for (const place of places) {
    if (Object.hasOwn(answers, placeKey(place))) state = withAnswer(state, place, answers[placeKey(place)]);
  }
  return state;
}

// Where answers are kept: under the survey, and the name of who gave them, once it is known.
function storageKey(survey, rater) {
  return "reclens-survey-" + survey + (rater === "" ? "" : "." + rater);
}

// Where the name of who answered last is kept; no name has a slash.
function lastRaterKey(survey) {
  return "reclens-survey-" + survey + "/last";
}

function hasAnswers(state) {
  return Object.keys(state.answers).length > 0;
}

// Whether who writes another name has to be asked if the answers shown are theirs: it is a spelling
// put right, or another person.
function mustAskWhose(state, name, saved) {
  return state.rater !== "" && state.rater !== name && hasAnswers(state) && !hasAnswers(saved);
}

// What is shown once a name is written: what was saved under it, with what was answered before there
// was a name; else the answers shown, if they are to be taken along.
function underName(state, name, saved, takeAlong) {
  if (state.rater === name) return state;
  const kept = state.rater === "" || (takeAlong && !hasAnswers(saved)) ? state.answers : {};
  return { rater: name, answers: { ...kept, ...saved.answers } };
}

// What to say of answers that were here before; nothing where there are none.
function foundMessage(state, places) {
  if (!hasAnswers(state)) return "";
  const { done, total } = progress(state, places);
  const whose = state.rater === "" ? "somebody who gave no name" : state.rater;
  return "Found answers of " + whose + " in this browser: " + done + " of " + total +
    " lists. If that is not you, write your own name, or start over.";
}

// Whether an element does something of its own with keys, so that they answer no list.
function keepsItsKeys(tag, type) {
  if (tag === "INPUT") return type !== "radio";
  return ["A", "BUTTON", "SELECT", "SUMMARY", "TEXTAREA"].includes(tag);
}

// How many of the lists are answered; how clear a label is need not be said.
function progress(state, places) {
  const asked = places.filter((place) => place[1] !== "label");
  return { done: asked.filter((place) => placeKey(place) in state.answers).length, total: asked.length };
}

// What a key means at a place: {answer}, {step} or null.
function meaningOf(key, place) {
  if (STEPS.has(key)) return { step: STEPS.get(key) };
  if (place === null) return null;
  const value = place[1] === "label" ? key : VERDICT_KEYS.get(key.toLowerCase());
  return value !== undefined && isAllowed(place, value) ? { answer: value } : null;
}

// Index of the place to go to; -1: nowhere yet.
function moved(index, step, count) {
  if (index < 0) return step > 0 ? 0 : count - 1;
  return Math.min(count - 1, Math.max(0, index + step));
}

function isRater(name) {
  return RATER.test(name);
}

// The file to send back. All fields are digits, words of ours, or a name of letters and digits.
function answersCsv(state, survey, places) {
  const rows = places
    .filter((place) => placeKey(place) in state.answers)
    .map((place) => [survey, state.rater, place[0], place[1], state.answers[placeKey(place)]]);
  return [["survey", "rater", "question", "case", "answer"], ...rows]
    .map((row) => row.join(",") + "\r\n")
    .join("");
}

if (typeof module !== "undefined") {
  module.exports = {
    emptyState, withAnswer, restored, storageKey, lastRaterKey, mustAskWhose, underName, foundMessage, keepsItsKeys,
    progress, meaningOf, moved, isRater, answersCsv,
  };
}
