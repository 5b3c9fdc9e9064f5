import { ChatPage } from "./chat/page";

const root = document.querySelector<HTMLElement>("[data-chat]");
if (root) new ChatPage(root);
