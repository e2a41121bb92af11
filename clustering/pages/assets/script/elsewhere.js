// Titles of stories that are not on this page: what happened to them names some; a server knows all, in each language.
import { data } from "./data.js";
import { make, root } from "./dom.js";
import { inItsLanguage, wishedOf } from "./language.js";
import { served } from "./places.js";

const TOGETHER = 50; // stories of one question
const named = new Map(data.changes.filter((change) => change[5]).map((change) => [change[2], { title: change[5], titles: {} }]));
const titlesTold = new Map(); // story -> what the server says of it, a promise
let unasked = []; // stories of the next question
let question = null;

// A story's title, where it is known or as soon as it is; `known`: as somebody called it.
export function titleElsewhere(number, { before = "", known = "" } = {}) {
  const node = make("span");
  const show = (story) => {
    if (!story?.title) return;
    const tag = wishedOf(story.titles, data.wanted);
    node.replaceChildren(before, inItsLanguage(tag === undefined ? story.title : story.titles[tag], tag));
  };
  show(known ? { title: known, titles: {} } : named.get(number));
  if (served()) answerOf(number).then(show, () => {}); // without an answer, what is shown stays
  return node;
}
function answerOf(number) {
  if (!titlesTold.has(number)) {
    unasked.push(number);
    question ??= Promise.resolve().then(askTitles);
    titlesTold.set(number, question.then((found) => found.get(number)));
  }
  return titlesTold.get(number);
}
async function askTitles() {
  const numbers = unasked;
  [unasked, question] = [[], null];
  const found = new Map();
  for (let at = 0; at < numbers.length; at += TOGETHER) {
    const labels = numbers.slice(at, at + TOGETHER).map((number) => `&label=${number}`).join("");
    const answer = await fetch(`${root.dataset.api}stories?status=all${labels}`);
    if (answer.ok) for (const story of (await answer.json()).items) found.set(story.cluster_label, story);
  }
  return found;
}
