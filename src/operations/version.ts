/** Version of the program, kept with every snapshot. A test holds it against package.json. */
export const VERSION = '0.1.0'
