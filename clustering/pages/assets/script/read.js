// What a page was given to show: JSON, compressed where it is much.
export async function read(element) {
  if (element.dataset.packed !== "yes") return JSON.parse(element.textContent);
  const letters = atob(element.textContent);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
