// Several files at once, by drag and drop or the file dialog, with the progress of their transfer. Their ingestion
// is then the table's to show.
import htmx from "../htmx";
import { need } from "../dom";
import { csrfToken } from "../http";

export function watchUploads(): void {
  const form = document.querySelector<HTMLFormElement>("[data-upload]");
  if (form) new Upload(form);
}

class Upload {
  private readonly input: HTMLInputElement;
  private readonly status: HTMLElement;
  private readonly bar: HTMLProgressElement;
  private isBusy = false;
  private queue: File[] = [];

  constructor(private readonly form: HTMLFormElement) {
    this.input = need<HTMLInputElement>(form, "input[type=file]");
    this.status = need(form, "[data-upload-status]");
    this.bar = need<HTMLProgressElement>(form, "progress");
    need(form, "[data-upload-submit]").hidden = true; // for browsers without scripts
    this.input.addEventListener("change", () => this.add([...(this.input.files ?? [])]));
    form.addEventListener("submit", (event) => event.preventDefault());
    this.acceptDrops();
  }

  /** The whole page takes files, so that a near miss doesn't make the browser open them instead. */
  private acceptDrops(): void {
    let depth = 0;
    const over = (change: number) => {
      depth = Math.max(0, depth + change);
      this.form.toggleAttribute("data-over", depth > 0);
    };
    const isFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    document.addEventListener("dragenter", (event) => isFiles(event) && over(+1));
    document.addEventListener("dragleave", (event) => isFiles(event) && over(-1));
    document.addEventListener("dragover", (event) => isFiles(event) && event.preventDefault());
    document.addEventListener("drop", (event) => {
      if (!isFiles(event)) return;
      event.preventDefault();
      over(-depth);
      this.add([...(event.dataTransfer?.files ?? [])]);
    });
  }

  private add(files: File[]): void {
    this.queue.push(...files);
    this.input.value = "";
    if (!this.isBusy && this.queue.length > 0) void this.send();
  }

  private async send(): Promise<void> {
    this.isBusy = true;
    while (this.queue.length > 0) {
      const files = this.queue.splice(0);
      const name = files.length === 1 ? `“${files[0]?.name}”` : `${files.length} files`;
      this.tell(`Uploading ${name}`);
      this.bar.hidden = false;
      try {
        const html = await transfer(this.form.action, files, (share) => (this.bar.value = share));
        this.tell(`Uploaded ${name}`);
        await htmx.swap({ text: html, target: need(document, "#documents"), select: "#documents", swap: "outerHTML" });
      } catch (fault) {
        this.tell(`${name} did not arrive: ${(fault as Error).message}`, true);
      }
      this.bar.hidden = true;
    }
    this.isBusy = false;
  }

  private tell(text: string, isFault = false): void {
    this.status.textContent = text;
    this.status.classList.toggle("fault", isFault);
  }
}

/** POST `files` and return the HTML of the answer. `fetch` can't tell how far an upload has come. */
function transfer(url: string, files: File[], onProgress: (share: number) => void): Promise<string> {
  const body = new FormData();
  for (const file of files) body.append("files", file);
  const request = new XMLHttpRequest();
  request.open("POST", url);
  request.setRequestHeader("X-CSRFToken", csrfToken());
  request.setRequestHeader("HX-Request", "true");
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) onProgress(event.loaded / event.total);
  });
  return new Promise((resolve, reject) => {
    request.addEventListener("load", () => {
      if (request.status < 400) resolve(request.responseText);
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
