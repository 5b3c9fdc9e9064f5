// Several files at once, by drag and drop or the file dialog, with the progress of their transfer. Their ingestion
// is then the table's to show.
import htmx from "../htmx";
import { need } from "../dom";
import { acceptDrops, transfer } from "../files";

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
    acceptDrops(form, (files) => this.add(files));
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
        const answer = await transfer(this.form.action, "files", files, (share) => (this.bar.value = share));
        this.tell(`Uploaded ${name}`);
        const table = { target: need(document, "#documents"), select: "#documents", swap: "outerHTML" };
        await htmx.swap({ text: answer.responseText, ...table });
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
