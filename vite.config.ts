/// <reference types="vitest/config" />
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

// Names end in twelve hexadecimal digits, the form that WhiteNoise caches for ever.
const named = (extension: string) => `assets/[name].[hash:12]${extension}`;

export default defineConfig({
  base: "./", // files find each other wherever STATIC_URL points
  publicDir: false,
  plugins: [tailwindcss()],
  build: {
    outDir: "static/dist",
    manifest: true,
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: fonts
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: ["static/src/main.ts", "static/src/chat.ts", "static/src/theme-boot.ts"],
      output: {
        hashCharacters: "hex",
        entryFileNames: named(".js"),
        chunkFileNames: "assets/shared.[hash:12].js",
        assetFileNames: named("[extname]"),
      },
    },
  },
  test: {
    include: ["tests/frontend/**/*.test.ts"],
  },
});
