using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Sqlite
{
    /// <inheritdoc />
    public partial class FlagTriage : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<bool>(
                name: "IsTrial",
                table: "Prompts",
                type: "INTEGER",
                nullable: false,
                defaultValue: false);

            migrationBuilder.AddColumn<string>(
                name: "AlikeKey",
                table: "Flags",
                type: "TEXT",
                maxLength: 64,
                nullable: false,
                defaultValue: "");

            migrationBuilder.AddColumn<long>(
                name: "AssignedAt",
                table: "Flags",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<Guid>(
                name: "AssignedTo",
                table: "Flags",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<Guid>(
                name: "ConfirmedFirstBy",
                table: "Flags",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "FirstLookAt",
                table: "Flags",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "Held",
                table: "Flags",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<Guid>(
                name: "ModelVersionId",
                table: "Flags",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<Guid>(
                name: "PreferredId",
                table: "Flags",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "RowVersion",
                table: "Flags",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0);

            migrationBuilder.AddColumn<int>(
                name: "Severity",
                table: "Flags",
                type: "INTEGER",
                nullable: false,
                defaultValue: 2);

            migrationBuilder.AddColumn<int>(
                name: "Source",
                table: "Flags",
                type: "INTEGER",
                nullable: false,
                defaultValue: 1);

            migrationBuilder.AddColumn<Guid>(
                name: "SuggestedById",
                table: "Flags",
                type: "TEXT",
                nullable: true);

            // Flags of before are of medium severity and of people; alike are those on the very same text.
            migrationBuilder.Sql("""
                UPDATE "Flags" SET
                    "AlikeKey" = (SELECT r."ContentHash" FROM "Responses" AS r WHERE r."Id" = "Flags"."ResponseId"),
                    "ModelVersionId" = (SELECT r."ModelVersionId" FROM "Responses" AS r WHERE r."Id" = "Flags"."ResponseId")
                """);

            migrationBuilder.CreateIndex(
                name: "IX_Flags_AnnotatorId_At",
                table: "Flags",
                columns: new[] { "AnnotatorId", "At" });

            migrationBuilder.CreateIndex(
                name: "IX_Flags_At",
                table: "Flags",
                column: "At");

            migrationBuilder.CreateIndex(
                name: "IX_Flags_ClosedAt",
                table: "Flags",
                column: "ClosedAt");

            migrationBuilder.CreateIndex(
                name: "IX_Flags_ProjectId_AlikeKey_State",
                table: "Flags",
                columns: new[] { "ProjectId", "AlikeKey", "State" });

            migrationBuilder.CreateIndex(
                name: "IX_Flags_State_Severity_At_Id",
                table: "Flags",
                columns: new[] { "State", "Severity", "At", "Id" },
                descending: new[] { false, true, false, false });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "IX_Flags_AnnotatorId_At",
                table: "Flags");

            migrationBuilder.DropIndex(
                name: "IX_Flags_At",
                table: "Flags");

            migrationBuilder.DropIndex(
                name: "IX_Flags_ClosedAt",
                table: "Flags");

            migrationBuilder.DropIndex(
                name: "IX_Flags_ProjectId_AlikeKey_State",
                table: "Flags");

            migrationBuilder.DropIndex(
                name: "IX_Flags_State_Severity_At_Id",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "IsTrial",
                table: "Prompts");

            migrationBuilder.DropColumn(
                name: "AlikeKey",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "AssignedAt",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "AssignedTo",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "ConfirmedFirstBy",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "FirstLookAt",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "Held",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "ModelVersionId",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "PreferredId",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "RowVersion",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "Severity",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "Source",
                table: "Flags");

            migrationBuilder.DropColumn(
                name: "SuggestedById",
                table: "Flags");
        }
    }
}
