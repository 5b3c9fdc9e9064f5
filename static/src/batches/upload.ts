// The file that a batch is made of: one, by drag and drop or the file dialog. What is wrong with it is said in place.
import htmx from "../htmx";
import { need } from "../dom";
import { acceptDrops, transfer } from "../files";

export function watchRowsUpload(): void {
  const form = document.querySelector<HTMLFormElement>("[data-rows-upload]");
  if (!form) return;
  const input = need<HTMLInputElement>(form, "input[type=file]");
  need(form, "[data-upload-submit]").hidden = true; // for browsers without scripts
  input.addEventListener("change", () => void send(form, input));
  form.addEventListener("submit", (event) => event.preventDefault());
  acceptDrops(form, (files) => {
    const one = new DataTransfer();
    if (files[0]) one.items.add(files[0]);
    input.files = one.files;
    void send(form, input);
  });
}

async function send(form: HTMLFormElement, input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  const bar = need<HTMLProgressElement>(form, "progress");
  if (!file || !bar.hidden) return;
  const tell = (text: string, isFault = false) => {
    const status = need(form, "[data-upload-status]");
    status.textContent = text;
    status.classList.toggle("fault", isFault);
  };
  tell(`Uploading “${file.name}”`);
  bar.value = 0;
  bar.hidden = false;
  let there: string | null = null;
  try {
    const answer = await transfer(form.action, input.name, [file], (share) => {
      bar.value = share;
      if (share < 1) return;
      bar.removeAttribute("value"); // nobody knows how long that takes
      tell(`Reading the rows of “${file.name}”`);
    });
    there = answer.getResponseHeader("HX-Redirect");
    const faults = { target: need(document, "#faults"), select: "#faults", swap: "outerHTML" };
    if (there) location.assign(there);
    else await htmx.swap({ text: answer.responseText, ...faults });
    tell(there ? "Read." : `“${file.name}” can’t be used yet.`, !there);
  } catch (fault) {
    tell(`“${file.name}” did not arrive: ${(fault as Error).message}`, true);
  }
  if (there) return;
  bar.hidden = true;
  input.value = ""; // the same file can be chosen again, once it is mended
}
