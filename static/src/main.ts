// What every page needs. The chat has an entry of its own: it carries the Markdown libraries.
import "./styles/main.css";
import "./htmx";
import { watchBusyForms } from "./busy";
import { watchCopyButtons } from "./clipboard";
import { watchConfirmations } from "./confirm";
import { watchConversations } from "./conversations";
import { watchFlashes } from "./flash";
import { watchUploads } from "./knowledge/upload";
import { showDocument } from "./knowledge/viewer";
import { watchMenus } from "./menus";
import { watchPasskeys } from "./passkeys";
import { showSection } from "./sections";
import { watchThemes } from "./theme";
import { watchTimes } from "./times";

watchThemes();
watchMenus();
watchBusyForms();
watchConfirmations();
watchFlashes();
watchPasskeys();
watchTimes();
watchConversations();
watchUploads();
showDocument();
showSection();
watchCopyButtons();
