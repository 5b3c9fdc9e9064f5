// Files that are dropped on a page or chosen, and their transfer with its progress.
import { csrfToken } from "./http";

/** The whole page takes files, so that a near miss doesn't make the browser open them instead. */
export function acceptDrops(form: HTMLFormElement, take: (files: File[]) => void): void {
  let depth = 0;
  const over = (change: number) => {
    depth = Math.max(0, depth + change);
    form.toggleAttribute("data-over", depth > 0);
  };
  const isFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragenter", (event) => isFiles(event) && over(+1));
  document.addEventListener("dragleave", (event) => isFiles(event) && over(-1));
  document.addEventListener("dragover", (event) => isFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    over(-depth);
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

/** POST `files` in the field `name`. `fetch` can't tell how far an upload has come. Throws if it didn't arrive. */
export function transfer(
  url: string,
  name: string,
  files: File[],
  onProgress: (share: number) => void,
): Promise<XMLHttpRequest> {
  const body = new FormData();
  for (const file of files) body.append(name, file);
  const request = new XMLHttpRequest();
  request.open("POST", url);
  request.setRequestHeader("X-CSRFToken", csrfToken());
  request.setRequestHeader("HX-Request", "true");
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) onProgress(event.loaded / event.total);
  });
  return new Promise((resolve, reject) => {
    request.addEventListener("load", () => {
      if (request.status < 400 || request.status === 422) resolve(request);
      else reject(new Error(reason(request.status)));
    });
    request.addEventListener("error", () => reject(new Error("the connection broke. Try again.")));
    request.send(body);
  });
}

function reason(status: number): string {
  if (status === 413) return "it is larger than this server takes. Split it into smaller files.";
  if (status === 403) return "you may have been signed out. Reload the page and try again.";
  return `the server answered ${status}. Try again in a moment.`;
}
